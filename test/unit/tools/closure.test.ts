import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { projectRoot } from "../../support/project.ts";

const { closure, parseInstalled } = await import(join(projectRoot, "tools/closure.mjs"));

/** A line of dpkg-query: name, status, essential, priority, dependencies, provides. */
const listing = [
  ["dash", "installed", "yes", "required", "debianutils (>= 5.6),", ""],
  ["debianutils", "installed", "no", "required", ",", ""],
  ["mawk", "installed", "no", "required", ",libc6 (>= 2.34)", "awk"],
  ["libc6", "installed", "no", "optional", ",libgcc-s1", ""],
  ["git", "installed", "no", "optional", ",perl, liberror-perl:any (>= 1)", ""],
  ["perl", "installed", "no", "standard", ",", ""],
  ["lxc", "installed", "no", "optional", ",liblxc1 (= 1), uidmap | newuidmap, dnsmasq-base", ""],
  ["liblxc1", "installed", "no", "optional", ",", ""],
  ["uidmap", "installed", "no", "optional", ",", ""],
  ["dnsmasq-full", "installed", "no", "optional", ",", "dnsmasq-base (= 2.9), other"],
  ["npm", "installed", "no", "optional", ",make, node-gyp", ""],
  ["node-gyp", "installed", "no", "optional", ",gcc", ""],
  ["make", "installed", "no", "optional", ",", ""],
  ["gcc", "installed", "no", "optional", ",", ""],
  ["valgrind", "installed", "no", "optional", ",libc6", ""],
  ["gone", "config-files", "no", "optional", ",", ""],
]
  .map((fields) => fields.join("\t"))
  .join("\n");

const always = ["dash", "debianutils", "mawk", "libc6", "git", "perl", "npm", "node-gyp"];
const found = (named: string[]): string[] => [...closure(parseInstalled(listing), named)].sort();

test("the base system, git and npm are included, without dependencies of npm alone", () => {
  expect(found([])).toEqual([...always].sort());
});

test("a named package includes its dependencies, and the providers of virtual ones", () => {
  expect(found(["lxc"])).toEqual([...always, "lxc", "liblxc1", "uidmap", "dnsmasq-full"].sort());
});

test("a package that is removed or unknown includes nothing", () => {
  expect(found(["gone", "strange", "make"])).toEqual([...always, "make"].sort());
});
