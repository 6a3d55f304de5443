/** What we use of the package, which has no types of its own. */
declare module "sd-notify" {
  const systemd: { ready(): void; stopping(): void };
  export default systemd;
}
