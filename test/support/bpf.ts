/** Small filters in the format of bwrap(1) --seccomp: struct sock_filter, seccomp(2). */

export const load = 0x20;
export const ifEqual = 0x15;
export const give = 0x06;
/** Plus an error number. */
export const refuse = 0x00050000;
export const allow = 0x7fff0000;
/** Offsets in struct seccomp_data; each argument is 64 bits. */
export const callNumber = 0;
export const firstArgument = 16;

/** `ifTrue` and `ifFalse`: how many of the next instructions to skip. */
export type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number];

export function instructions(list: readonly Instruction[]): Buffer {
  return Buffer.concat(
    list.map(([code, ifTrue, ifFalse, k]) => {
      const one = Buffer.alloc(8);
      one.writeUInt16LE(code, 0);
      one.writeUInt8(ifTrue, 2);
      one.writeUInt8(ifFalse, 3);
      one.writeUInt32LE(k, 4);
      return one;
    }),
  );
}

/** Refuses one system call with an error number, and allows the rest. */
export const refusing = (call: number, error: number): Buffer =>
  instructions([
    [load, 0, 0, callNumber],
    [ifEqual, 0, 1, call],
    [give, 0, 0, refuse + error],
    [give, 0, 0, allow],
  ]);
