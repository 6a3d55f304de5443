import { describe, expect, test } from "@jest/globals";
import { instancesOf, templateOfInstance } from "../../../../daemon/pools/unit-instance.ts";
import { parseTemplateName, type TemplateName } from "../../../../protocol/names.ts";

const known = [
  "rpool/isolate/debisl",
  "rpool/isolate/deb-isl",
  "tank/a/web",
  "tank/b/web",
  "debian",
  "tank/debian",
].map(parseTemplateName);
const meant = (instance: string, of: readonly TemplateName[] = known) => templateOfInstance(instance, of);

describe("an instance", () => {
  test.each([
    ["rpool-isolate-debisl", "rpool/isolate/debisl"],
    ["debisl", "rpool/isolate/debisl"],
    ["rpool-isolate-deb\\x2disl", "rpool/isolate/deb-isl"],
    ["deb\\x2disl", "rpool/isolate/deb-isl"],
    ["deb-isl", "rpool/isolate/deb-isl"], // not escaped, as people write it
    ["tank-a-web", "tank/a/web"],
    ["debian", "debian"], // a full name goes before a last component
    ["tank-debian", "tank/debian"],
  ])("'%s' means %s", (instance, template) => expect(meant(instance)).toBe(template));

  test("that is a template's full name means that one, even if other names end with it", () => {
    expect(meant("deb-isl", [...known, parseTemplateName("deb/isl")])).toBe("deb/isl");
  });

  test("that is the end of several names is refused with all of them and a hint", () => {
    const refused = () => meant("web");
    expect(refused).toThrow("cannot choose a template for 'web': the names of tank/a/web and tank/b/web end with it");
    expect(refused).toThrow(
      expect.objectContaining({
        code: "ambiguous-template",
        hint: 'name the unit after the full template name: systemctl enable --now "isolate_regenerate@$(systemd-escape tank/a/web).path"',
      }),
    );
  });

  test("that matches no template means the name itself, as a dataset may have it", () => {
    expect(meant("windows")).toBe("windows");
    expect(meant("rpool-isolate-new\\x2done")).toBe("rpool/isolate/new-one");
    expect(meant("isolate-debisl")).toBe("isolate/debisl");
  });

  test("that is not a name is refused", () => {
    expect(() => meant("-debisl")).toThrow("cannot find the template '-debisl'");
    expect(() => meant("deb\\x40isl")).toThrow("cannot use the name 'deb@isl'");
  });

  test("of a template comes back to it", () => {
    for (const template of known) expect(meant(instancesOf(template)[0] ?? "")).toBe(template);
  });
});
