/** `npm run docs`: what is generated and lies in the repository, since people read it there. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorsPage } from "./errors.ts";

writeFileSync(fileURLToPath(new URL("../../../../docs/errors.md", import.meta.url)), errorsPage());
