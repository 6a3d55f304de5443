declare const ISOLATE_VERSION: string | undefined;

/** Of package.json, put in by the build. */
export const version: string = typeof ISOLATE_VERSION === "undefined" ? "unbuilt" : ISOLATE_VERSION;
