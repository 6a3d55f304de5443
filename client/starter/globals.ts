/** The globals that the client's modules expect of a runtime, as far as they use them. Imported before the modules. */
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
