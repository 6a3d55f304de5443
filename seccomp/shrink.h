#ifndef ISOLATE_SHRINK_H
#define ISOLATE_SHRINK_H

/*
 * For a process that waits for as long as a sandbox lives. Of its own program it has some 600 KB mapped by then, since the
 * kernel maps what lies around each page that is touched; what is needed from here on comes back by itself.
 */
void shrink(void);

#endif
