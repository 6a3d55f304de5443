import { describe, expect, test } from "@jest/globals";
import {
  isSuite,
  mmdebstrapArguments,
  mmdebstrapStage,
  parseDebianMirrors,
} from "../../../../../client/full/templates/debian.ts";
import { complaint } from "../../../../../client/full/templates/sources.ts";

const signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";

describe("the mirrors of apt", () => {
  test("are recognized by their Release files", () => {
    const answer = [
      "Packages|Debian|Debian-Security|main|http://mirror.example/sec/",
      "Packages|Debian|Debian|contrib|http://other.example/debian/",
      "Packages|Debian|Debian|main|http://mirror.example/deb/",
      "Sources|Debian|Debian|main|http://sources.example/debian/",
      "Packages|Node Source|Node Source|main|https://node.example/",
    ].join("\n");
    expect(parseDebianMirrors(answer)).toEqual({
      archive: "http://mirror.example/deb",
      security: "http://mirror.example/sec",
    });
  });

  test("are recognized by their last part before the first update", () => {
    const answer = "Packages|||main|http://m.example/debian/\nPackages|||main|http://m.example/debian-security/\n";
    expect(parseDebianMirrors(answer)).toEqual({
      archive: "http://m.example/debian",
      security: "http://m.example/debian-security",
    });
  });

  test("are none on Ubuntu and if apt prints nothing", () => {
    const none = { archive: undefined, security: undefined };
    expect(parseDebianMirrors("")).toEqual(none);
    expect(parseDebianMirrors("Packages|Ubuntu|Ubuntu|main|http://m.example/ubuntu/")).toEqual(none);
  });
});

describe("mmdebstrap", () => {
  const mirrors = { archive: "http://m.example/debian", security: "http://m.example/sec" };

  test("gets signed sources with updates and security", () => {
    const words = mmdebstrapArguments("trixie", mirrors);
    expect(words.slice(words.indexOf("trixie"))).toEqual([
      "trixie",
      "-",
      `deb ${signed} http://m.example/debian trixie main`,
      `deb ${signed} http://m.example/debian trixie-updates main`,
      `deb ${signed} http://m.example/sec trixie-security main`,
    ]);
  });

  test("gets one source for unstable, and none if the machine has no Debian mirror", () => {
    expect(mmdebstrapArguments("sid", mirrors).slice(-1)).toEqual([`deb ${signed} http://m.example/debian sid main`]);
    expect(mmdebstrapArguments("trixie", { archive: undefined, security: undefined }).slice(-2)).toEqual([
      "trixie",
      "-",
    ]);
  });

  test("prints its stages", () => {
    expect(mmdebstrapStage("I: running apt-get update...")).toBe("running apt-get update");
    expect(mmdebstrapStage("I: installing remaining packages inside the chroot...")).toBe(
      "installing remaining packages inside the chroot",
    );
    expect(mmdebstrapStage("I: success in 3.9 seconds")).toBeUndefined();
    expect(mmdebstrapStage("Get:1 http://m.example")).toBeUndefined();
  });
});

test("a suite is a name", () => {
  expect(["bookworm", "stable", "trixie-backports", "rc-buggy"].filter((name) => !isSuite(name))).toEqual([]);
  expect(["", "-x", "a/b", "a b", "A", "a-", "a--b"].filter(isSuite)).toEqual([]);
});

test("the reported reason is the line with the cause, without terminal control characters", () => {
  expect(
    complaint([
      "I: a",
      "tar: ./x: Cannot open: Permission denied",
      "tar: Exiting with failure status due to previous errors",
    ]),
  ).toBe("tar: ./x: Cannot open: Permission denied");
  expect(complaint(["E: real\x1b[2J", "E: mmdebstrap failed to run"])).toBe("E: real?[2J");
  expect(complaint([])).toBeUndefined();
});
