/**
 * The files that pin the users' namespaces: `<runtime directory>/users/<uid>/userns.<gid>`. A grant names the same
 * file; these rules let a client find it before the grant.
 */
export const usersDirectory = (runtime: string): string => `${runtime}/users`;
/** Also holds the user's views. */
export const userDirectory = (users: string, uid: number): string => `${users}/${uid}`;
const prefix = "userns.";
export const usernsFile = (directory: string, gid: number): string => `${directory}/${prefix}${gid}`;
export const isUsernsFile = (name: string): boolean => name.startsWith(prefix);
