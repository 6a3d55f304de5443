/**
 * Draws frames of a terminal as one animated SVG: a strip of frames that moves up behind a window. Without animation,
 * the last frame is visible. Pure.
 */
import type { Frame } from "./terminal.ts";

interface Size {
  readonly columns: number;
  readonly rows: number;
}

const cell = { width: 8.4, height: 18 } as const;
const margin = 14;
/** Milliseconds for which the last frame stays. */
const rest = 3000;
const colours = ["#45475a", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#f5c2e7", "#94e2d5", "#bac2de"];

export function drawing(frames: readonly Frame[], { columns, rows }: Size): string {
  const width = Math.ceil(columns * cell.width + 2 * margin);
  const height = rows * cell.height + 2 * margin;
  const length = (frames.at(-1)?.at ?? 0) + rest;
  const lines = [...new Set(frames.flatMap((frame) => frame.lines.filter((line) => line.trim() !== "")))];
  const strip = frames.map((frame, index) => {
    const uses = frame.lines.flatMap((line, row) =>
      line.trim() === "" ? [] : [`<use href="#l${lines.indexOf(line)}" y="${row * cell.height}"/>`],
    );
    return `<g transform="translate(0 ${index * height})">${uses.join("")}</g>`;
  });
  const steps = frames.map(
    ({ at }, index) => `${((at / length) * 100).toFixed(3)}%{transform:translateY(-${index * height}px)}`,
  );
  const end = (frames.length - 1) * height;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<title>A root filesystem is broken, and is whole again in the next run; a package is installed, and gone.</title>
<style>
text{font:14px ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;fill:#cdd6f4;white-space:pre}
.b{font-weight:bold}${colours.map((colour, index) => `.c${index}{fill:${colour}}`).join("")}
.strip{transform:translateY(-${end}px);animation:play ${length}ms step-end infinite}
@keyframes play{${steps.join("")}100%{transform:translateY(-${end}px)}}
@media (prefers-reduced-motion:reduce){.strip{animation:none}}
</style>
<clipPath id="window"><rect width="${width}" height="${height}"/></clipPath>
<defs>${lines.map((line, index) => `<g id="l${index}">${lineText(line)}</g>`).join("\n")}
</defs>
<rect width="100%" height="100%" rx="8" fill="#1e1e2e"/>
<g clip-path="url(#window)"><g transform="translate(${margin} ${margin})"><g class="strip">
${strip.join("\n")}
</g></g></g>
</svg>
`;
}

/** Draws one line with its colours, SGR of ECMA-48. Each run of one colour is placed separately, for any font width. */
function lineText(line: string): string {
  const parts: string[] = [];
  let column = 0;
  let classes: string[] = [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are made of them
  for (const [, codes, words] of line.matchAll(/(?:\x1b\[([0-9;]*)m)?([^\x1b]*)/g)) {
    for (const code of codes?.split(";") ?? []) {
      if (code === "" || code === "0" || code === "39") classes = [];
      else if (code === "1") classes.push("b");
      else if (/^[39][0-7]$/.test(code)) classes = [...classes.filter((one) => one === "b"), `c${code.at(-1)}`];
    }
    if (words === undefined || words === "") continue;
    const style = classes.length === 0 ? "" : ` class="${classes.join(" ")}"`;
    const escaped = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    const length = `textLength="${(words.length * cell.width).toFixed(1)}" lengthAdjust="spacingAndGlyphs"`;
    parts.push(
      `<text x="${(column * cell.width).toFixed(1)}" y="14" ${length} xml:space="preserve"${style}>${escaped}</text>`,
    );
    column += words.length;
  }
  return parts.join("");
}
