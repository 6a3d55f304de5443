#include "machine-id.h"
#include "mount-id.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char path[] = "/etc/machine-id";

enum { DIGITS = 32 };

static bool has_machine_id(void)
{
    char text[DIGITS + 1] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size;

    if (fd < 0)
        return false;
    size = read(fd, text, DIGITS);
    close(fd);
    return size == DIGITS && strspn(text, "0123456789abcdef") == DIGITS && strspn(text, "0") < DIGITS;
}

/* Opens the root's own /etc, not a mount or a link's target. */
static bool is_etc_own(void)
{
    unsigned long long mount = mount_of("/");

    return mount != 0 && mount_of("/etc") == mount;
}

void ensure_machine_id(void)
{
    static const char made[] = "/etc/.machine-id.new";
    unsigned char id[DIGITS / 2];
    char text[DIGITS + 2];
    bool whole;
    int fd;

    if (!is_etc_own() || has_machine_id() || getrandom(id, sizeof id, GRND_NONBLOCK) != sizeof id)
        return;
    id[6] = (id[6] & 0x0f) | 0x40; /* as in a random UUID */
    id[8] = (id[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < sizeof id; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    text[DIGITS] = '\n';
    fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0)
        return;
    whole = fchmod(fd, 0444) == 0 && write(fd, text, DIGITS + 1) == DIGITS + 1;
    close(fd);
    if (!whole || rename(made, path) < 0)
        unlink(made);
}
