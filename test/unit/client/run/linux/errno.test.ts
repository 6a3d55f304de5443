import { constants } from "node:os";
import { expect, test } from "@jest/globals";
import { errnoName } from "../../../../../client/run/linux/errno.ts";

test("the names match this system's, as far as the runtime knows them", () => {
  const aliases = ["EWOULDBLOCK", "ENOTSUP"]; // of EAGAIN and EOPNOTSUPP
  const known = Object.entries(constants.errno).filter(([name]) => !aliases.includes(name));
  expect(known.length).toBeGreaterThan(70);
  expect(known.map(([, number]) => errnoName(number))).toEqual(known.map(([name]) => name));
});

test("a number without a name is reported as a number", () => {
  expect([41, 4095].map(errnoName)).toEqual(["errno 41", "errno 4095"]);
});
