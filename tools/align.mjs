// Moves the segments of a 64-bit little-endian ELF program apart in its file so that each lies there as it will lie in
// memory, modulo the size of a huge page. A kernel that keeps the file in huge pages (Linux 6.16 on ext4, 5.18 on xfs) then
// maps two megabytes by one fault in place of 32, and unmaps them at once. Nothing but offsets in the file changes: elf(5).

const hugePage = 0x200000;
const loadable = 1; // PT_LOAD

/** @param {Buffer} file @returns {Buffer} */
export function alignSegments(file) {
  if (file.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") throw new Error("cannot align: it is no 64-bit ELF program");
  const programHeaders = tableAt(file, 32, 54);
  const sectionHeaders = tableAt(file, 40, 58);
  const segments = programHeaders
    .filter((at) => file.readUInt32LE(at) === loadable)
    .map((at) => ({ offset: number(file, at + 8), address: number(file, at + 16) }))
    .sort((a, b) => a.offset - b.offset);

  let moved = 0;
  const moves = segments.map(({ offset, address }) => {
    const gap = (((address - offset - moved) % hugePage) + hugePage) % hugePage;
    moved += gap;
    return { from: offset, gap, by: moved };
  });
  const pieces = moves.flatMap(({ from, gap }, index) => [
    ...(index === 0 ? [file.subarray(0, from)] : []),
    Buffer.alloc(gap),
    file.subarray(from, moves[index + 1]?.from),
  ]);
  const aligned = Buffer.concat(pieces);
  const newPlace = (offset) => offset + (moves.findLast(({ from }) => offset >= from)?.by ?? 0);

  for (const at of programHeaders) move(aligned, newPlace(at) + 8, newPlace);
  for (const at of sectionHeaders) move(aligned, newPlace(at) + 24, newPlace);
  move(aligned, 40, newPlace); // where the section headers are
  return aligned;
}

/** Offsets of a header table's entries; its own offset is at `at`, size and number of entries at `sizes`. */
function tableAt(file, at, sizes) {
  const start = number(file, at);
  const size = file.readUInt16LE(sizes);
  return Array.from({ length: file.readUInt16LE(sizes + 2) }, (_, index) => start + index * size);
}

function move(file, at, newPlace) {
  file.writeBigUInt64LE(BigInt(newPlace(number(file, at))), at);
}

const number = (file, at) => Number(file.readBigUInt64LE(at));
