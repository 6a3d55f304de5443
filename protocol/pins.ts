/**
 * Where every user's namespace is pinned: `<runtime directory>/users/<uid>/userns.<gid>`. A grant names the same file; by
 * these rules a client finds it before it is granted anything.
 */
export const usersDirectory = (runtime: string): string => `${runtime}/users`;
/** Holds the user's views too. */
export const userDirectory = (users: string, uid: number): string => `${users}/${uid}`;
const prefix = "userns.";
export const usernsFile = (directory: string, gid: number): string => `${directory}/${prefix}${gid}`;
export const isUsernsFile = (name: string): boolean => name.startsWith(prefix);
