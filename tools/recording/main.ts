/**
 * `node dist/js/tools/recording/main.js FILE.svg`, as root: types a session into a real terminal, with its own daemon,
 * template and user, and draws the terminal's content. The README shows the result; nothing in it is made by hand.
 */
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { program } from "../../test/support/project.ts";
import { alice, createWorld } from "../../test/support/world.ts";
import { script } from "./script.ts";
import { drawing } from "./svg.ts";
import { createTerminal } from "./terminal.ts";

const file = process.argv[2];
if (file === undefined) throw new Error("cannot record anything: no file is given, such as docs/demo.svg");

const world = await createWorld({ size: 3 });
try {
  const home = join(world.directory, "home");
  mkdirSync(home);
  chownSync(home, alice.uid, alice.gid);
  const terminal = await createTerminal({
    user: alice,
    home,
    environment: { ISOLATE_SOCKET: world.socket, PATH: `${dirname(program("isolate"))}:/usr/bin:/bin` },
    columns: 80,
    rows: 24,
  });
  try {
    for (const step of script) await terminal.type(step);
    writeFileSync(file, drawing(terminal.frames(), { columns: 80, rows: 24 }));
  } finally {
    await terminal.close();
  }
} finally {
  await world.close();
}
