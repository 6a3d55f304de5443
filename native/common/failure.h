#ifndef ISOLATE_FAILURE_H
#define ISOLATE_FAILURE_H

/* 125: isolate itself failed. 128 + n: signal n ended the program that it ran. */
enum { EXIT_OURS = 125, EXIT_SIGNAL = 128 };

/* The program's name for its messages; argv[0] may differ. Each program defines it. */
extern const char own_name[];

/* Prints a line on standard error that begins with `name`. */
__attribute__((format(printf, 2, 3))) void say(const char *name, const char *sentence, ...);

/* Prints the sentence on standard error and exits with EXIT_OURS. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *sentence, ...);

/*
 * Returns the number that is the option's value; `what` names it in messages. Fails if it is not a number of at least
 * `least`.
 */
int parse_number(const char *option, const char *text, int least, const char *what);

/* Returns the descriptor above 2 that is the option's value. Fails otherwise. */
int parse_fd(const char *option, const char *text);

#endif
