/* SPDX-License-Identifier: Apache-2.0 */
/* Files of weights that are being written. */
#include "tools/libscalec/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the artefact will be a file. */
static bool becomes_file(const char *output)
{
    struct stat st;
    return output && strcmp(output, "-") != 0 && (stat(output, &st) != 0 || S_ISREG(st.st_mode));
}

static int open_beside(void *arg)
{
    ScalecBeside *b = arg;
    size_t n = strlen(b->output) + sizeof ".weights.XXXXXX";
    b->path = sc_calloc(n, 1);
    snprintf(b->path, n, "%s.weights.XXXXXX", b->output);
    int fd = mkostemp(b->path, O_CLOEXEC);
    mode_t mask = umask(0);
    umask(mask);
    if (fd >= 0 && fchmod(fd, 0666 & ~mask) == 0) {
        scrt_temporary(b->path);
        return fd;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    free(b->path);
    b->path = NULL;
    errno = why;
    return -1;
}

int (*scalec_beside_opener(const ScalecBeside *b))(void *beside)
{
    return becomes_file(b->output) ? open_beside : NULL;
}
