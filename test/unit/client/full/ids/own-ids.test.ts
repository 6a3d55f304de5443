import { expect, test } from "@jest/globals";
import { expectNobodys, getent } from "../../../../../client/full/ids/own-ids.ts";

const nobody = async () => "";

test("nobody has the ids of root's -t, also according to this host's getent(1)", async () => {
  await expectNobodys(nobody, ["ann:100000:65536\n", ""]);
  await expectNobodys(getent, []);
  expect(await getent(["passwd", "--", "0", "4294967294"])).toMatch(/^root:[^\n]*\n$/);
  await expect(getent(["nothing"])).rejects.toThrow("nothing");
});

test("an account, a delegation and a directory that does not answer are refused", async () => {
  const message = (why: string) => `cannot map IDs with -t from '2147418112': ${why}`;
  const account = async ([, , name = ""]: readonly string[]) => (name === "group" ? "staff:x:2147483647:\n" : "");
  await expect(expectNobodys(account, [])).rejects.toThrow(
    message("an account has an ID from there to 2147483647: the group 'staff' (2147483647)"),
  );
  await expect(expectNobodys(nobody, ["", "ann:2147480000:1\n"])).rejects.toThrow(
    message("/etc/subuid or /etc/subgid delegates IDs from there to 2147483647"),
  );
  await expect(expectNobodys(() => Promise.reject(new Error("silent")), [])).rejects.toThrow(
    message("it is unknown whether"),
  );
});
