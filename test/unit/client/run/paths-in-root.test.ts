import { describe, expect, test } from "@jest/globals";
import { type Entry, type Mounted, resolveInRoot } from "../../../../client/run/paths-in-root.ts";

/** A host: paths to `d`, `f`, or a link's target. Looking through a link is an error in the code under test. */
function host(entries: Record<string, string>) {
  const looked: string[] = [];
  const look = (path: string): Entry => {
    looked.push(path);
    for (let up = path.lastIndexOf("/"); up > 0; up = path.lastIndexOf("/", up - 1)) {
      const above = entries[path.slice(0, up)];
      if (above !== undefined && above !== "d" && above !== "f") throw new Error(`followed ${path.slice(0, up)}`);
    }
    const entry = entries[path];
    if (entry === undefined) return { kind: "absent" };
    if (entry === "d") return { kind: "directory" };
    if (entry === "f") return { kind: "file" };
    return { kind: "link", to: entry.slice(3) };
  };
  return { look, looked };
}

const root: Mounted[] = [{ at: "/", from: "/r" }];
const tree = { "/r": "d", "/r/etc": "d", "/r/etc/passwd": "f", "/r/mnt": "d" };

function resolve(path: string, extra: Record<string, string> = {}, mounts: Mounted[] = root) {
  const { look, looked } = host({ ...tree, ...extra });
  const result = resolveInRoot(path, mounts, look);
  for (const each of looked) expect(each === "/r" || each.startsWith("/r/") || each.startsWith("/src")).toBe(true);
  return result;
}

describe("resolveInRoot", () => {
  test("plain paths", () => {
    expect(resolve("/etc/passwd")).toEqual({ path: "/etc/passwd", kind: "file" });
    expect(resolve("//mnt/./")).toEqual({ path: "/mnt", kind: "directory" });
    expect(resolve("/")).toEqual({ path: "/", kind: "directory" });
    expect(resolve("/a/b/c")).toEqual({ path: "/a/b/c", kind: "absent" });
  });

  test("links stay inside the root", () => {
    expect(resolve("/data/x", { "/r/data": "-> /oldroot/home" })).toEqual({ path: "/oldroot/home/x", kind: "absent" });
    expect(resolve("/data", { "/r/data": "-> ../../../etc" })).toEqual({ path: "/etc", kind: "directory" });
    expect(resolve("/data/x", { "/r/data": "-> mnt", "/r/mnt/x": "f" })).toEqual({ path: "/mnt/x", kind: "file" });
    expect(resolve("/etc/resolv.conf", { "/r/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf" })).toEqual(
      {
        path: "/run/systemd/resolve/stub-resolv.conf",
        kind: "absent",
      },
    );
  });

  test("a link that is dangling, chained, or the last component", () => {
    const links = { "/r/a": "-> b", "/r/b": "-> /c", "/r/c": "-> nowhere/deep" };
    expect(resolve("/a/x", links)).toEqual({ path: "/nowhere/deep/x", kind: "absent" });
  });

  test("dots do not leave the root before, after or through links", () => {
    expect(resolve("/../../etc")).toEqual({ path: "/etc", kind: "directory" });
    expect(resolve("/up/../etc", { "/r/up": "-> /mnt" })).toEqual({ path: "/etc", kind: "directory" });
    expect(resolve("/nothing/../../../etc")).toEqual({ path: "/etc", kind: "directory" });
  });

  test("loops end", () => {
    expect(resolve("/l", { "/r/l": "-> l" })).toEqual({ wrong: "there are too many symbolic links on the way" });
    expect(resolve("/a/x", { "/r/a": "-> b", "/r/b": "-> a" })).toHaveProperty("wrong");
  });

  test("the limit of links is the kernel's", () => {
    const chain = (length: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length }, (_, index) => [`/r/l${index}`, `-> l${index + 1}`]));
    expect(resolve("/l0", chain(40))).toEqual({ path: "/l40", kind: "absent" });
    expect(resolve("/l0", chain(41))).toHaveProperty("wrong");
  });

  test("a file on the way", () => {
    expect(resolve("/etc/passwd/x")).toEqual({ wrong: "/etc/passwd is not a directory" });
    expect(resolve("/etc/passwd/..")).toEqual({ wrong: "/etc/passwd is not a directory" });
  });

  test("a mount hides the root's content, including links", () => {
    const mounts: Mounted[] = [...root, { at: "/tmp", from: undefined }, { at: "/mnt", from: "/src" }];
    const extra = { "/r/tmp": "d", "/r/tmp/x": "-> /etc", "/r/mnt/x": "-> /etc", "/src": "d", "/src/y": "-> /etc" };
    expect(resolve("/tmp/x", extra, mounts)).toEqual({ path: "/tmp/x", kind: "absent" });
    expect(resolve("/mnt/x", extra, mounts)).toEqual({ path: "/mnt/x", kind: "absent" });
    expect(resolve("/mnt/y/passwd", extra, mounts)).toEqual({ path: "/etc/passwd", kind: "file" });
    expect(resolve("/mnt/../tmp", extra, mounts)).toEqual({ path: "/tmp", kind: "directory" });
  });

  test("directories above a mount exist even if the root lacks them", () => {
    const mounts: Mounted[] = [...root, { at: "/new/deep/mount", from: "/src" }];
    const extra = { "/src": "d", "/src/y": "f" };
    expect(resolve("/new/deep/mount", extra, mounts)).toEqual({ path: "/new/deep/mount", kind: "directory" });
    expect(resolve("/new/deep/mount/y", extra, mounts)).toEqual({ path: "/new/deep/mount/y", kind: "file" });
    expect(resolve("/new/deep/mount/../..", extra, mounts)).toEqual({ path: "/new", kind: "directory" });
    expect(resolve("/new/other/mount", extra, mounts)).toEqual({ path: "/new/other/mount", kind: "absent" });
    expect(resolve("/ne", extra, mounts)).toEqual({ path: "/ne", kind: "absent" });
  });
});
