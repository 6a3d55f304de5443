/** What the client's other modules expect of any runtime, as much as they use. Imported before them. */
import { native } from "./native.ts";

Object.assign(globalThis, {
  TextEncoder: class {
    encode(text: string): Uint8Array {
      return new Uint8Array(native.encode(text));
    }
  },
  TextDecoder: class {
    decode(bytes: Uint8Array): string {
      return native.decode(bytes);
    }
  },
});
