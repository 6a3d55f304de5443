/** `npm run docs`: generates the documents that are kept in the repository, because people read them there. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorsPage } from "./errors.ts";

writeFileSync(fileURLToPath(new URL("../../../../docs/errors.md", import.meta.url)), errorsPage());
