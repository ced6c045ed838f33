/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALEC_HASH_H
#define SCALEC_HASH_H

#include "tools/libscalec/scalec.h"

#include <stdatomic.h>

/* XXH64 of a file's bytes, of which a piece is in memory for this where it is mapped; any number
 * soon after *stop was set, which may be NULL. Any thread may, while others read the file. */
uint64_t scalec_hash(const ScrtFile *f, const atomic_bool *stop);

#endif
