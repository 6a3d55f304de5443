/** What we use of the package, which has no types of its own. */
declare module "sd-notify" {
  const systemd: {
    /** sd_notify(3). Does nothing where nobody listens. */
    sendState(state: string): void;
  };
  export default systemd;
}
