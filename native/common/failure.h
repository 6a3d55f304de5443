#ifndef ISOLATE_FAILURE_H
#define ISOLATE_FAILURE_H

/* 125: one of our programs failed. 128 + n: signal n ended what it ran. */
enum { EXIT_OURS = 125, EXIT_SIGNAL = 128 };

/* Of each program that calls what follows, its name: what it was started by may be another. */
extern const char own_name[];

/* A line on standard error, of whoever it is said to come from. */
__attribute__((format(printf, 2, 3))) void say(const char *name, const char *sentence, ...);

/* Says so on standard error, and ends with EXIT_OURS. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *sentence, ...);

/* The value of that option, the number of that. Fails where it is none, or below the least. */
int parse_number(const char *option, const char *text, int least, const char *what);

/* The number of a descriptor above 2, the value of that option. Fails otherwise. */
int parse_fd(const char *option, const char *text);

#endif
