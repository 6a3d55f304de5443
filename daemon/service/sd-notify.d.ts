/** The part of the package that isolate uses; it ships no types. */
declare module "sd-notify" {
  const systemd: {
    /** sd_notify(3). Does nothing without a service manager. */
    sendState(state: string): void;
  };
  export default systemd;
}
