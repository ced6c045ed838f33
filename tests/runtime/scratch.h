/* SPDX-License-Identifier: Apache-2.0 */
/* A folder for a test's files, removed when the test has passed. */
#ifndef SCT_SCRATCH_H
#define SCT_SCRATCH_H

#include <stddef.h>

void scratch_make(void);               /* at the beginning of a test */
void scratch_remove(void);             /* at its end */
const char *scratch(const char *name); /* path of a file in it; sixteen stay valid */
void scratch_write(const char *path, const void *data, size_t n);
unsigned scratch_count(void); /* files in it: that no temporary one is left */

#endif
