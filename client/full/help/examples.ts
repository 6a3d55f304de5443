/** Command lines that the help and the manual pages show. Pure. */

export type Example = readonly [command: string, about: string];

export const first: readonly Example[] = [
  ["sudo isolate template create debian --debian trixie", "make a template; the daemon fills its pool"],
  ["isolate -z debian bash", "a shell in a fresh root filesystem, yours to break"],
  ["isolate -z debian -d .:/src -p /src make", "build the current directory, if the template has make"],
  ["isolate -t ./root sh", "work in a root filesystem of your own; changes stay"],
];

export const runs: readonly Example[] = [
  ["isolate -z debian bash", "a shell, yours to break"],
  ["isolate -z debian --net=private apt-get update", "outbound network only, without the host"],
  ["isolate -z debian -d .:/src:ro -p /src sh -c 'grep -c . README*'", "the current directory, read-only"],
  ["isolate -z debian -v LANG:C.UTF-8 --memory 512M --pids 100 python3", "a variable and limits"],
  ["isolate -z desktop --x11=untrusted --net=private firefox", "a window that cannot watch the others"],
];

export const templates: readonly Example[] = [
  ["sudo isolate template create debian --debian trixie", "a small Debian"],
  ["podman export NAME | sudo isolate template create image --tar -", "the files of a container"],
  ["sudo isolate template edit -n debian sh -c \\\n    'apt-get update && apt-get install -y make'", "change it"],
  ["sudo isolate template snapshot debian", "give the change to new sandboxes"],
];

export const pools: readonly Example[] = [
  ["isolate pool", "how many copies are ready and in use"],
  ["sudo isolate -r debian 20", "keep 20 copies ready"],
  ["sudo isolate -r rpool/isolate/x 5", "make an existing ZFS dataset a template"],
];

export const logs: readonly Example[] = [
  ["isolate log --since 2h", "what you ran in the last two hours"],
  ["sudo isolate log --user ann --end killed", "ann's runs that were killed"],
];

export const hooks: readonly Example[] = [
  ["PRE_SPAWN_HOOK='cp id.pub \"$ROOTFS/root/\"' isolate -z debian sh", "put a file into the root filesystem"],
  ["POST_SPAWN_HOOK='date >>ends' isolate -z debian make", "note when each run ended"],
];
