/** The word that makes a client the one that stays behind, see wake.ts. The process id follows, and the socket. */
export const wakeWord = "--wake-after";
