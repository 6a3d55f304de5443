declare const ISOLATE_VERSION: string | undefined;

/** The version in package.json; the build inserts it. */
export const version: string = typeof ISOLATE_VERSION === "undefined" ? "unbuilt" : ISOLATE_VERSION;
