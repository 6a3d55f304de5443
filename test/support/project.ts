/** The paths of the built project, seen from a compiled test. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

function findRoot(from: string): string {
  return existsSync(join(from, "package.json")) ? from : findRoot(dirname(from));
}

export const projectRoot = findRoot(dirname(fileURLToPath(import.meta.url)));
export const program = (
  name:
    | "isolate"
    | "isolated"
    | "isolate-client"
    | "isolate-init"
    | "isolate-monitor"
    | "isolate-network"
    | "isolate-seccomp",
): string => join(projectRoot, "dist/bin", name);
