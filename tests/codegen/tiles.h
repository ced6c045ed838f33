/* SPDX-License-Identifier: Apache-2.0 */
/* A model of tile registers (AMX), for kernels on processors that have none. */
#ifndef SC_TESTS_TILES_H
#define SC_TESTS_TILES_H

#include "codegen/codegen.h"

/* Each thread has registers of its own. What the processor would refuse stops the test: a register
 * that the configuration does not name, shapes that do not fit, a use without a configuration. */
extern const ScTileModel sct_tiles;
/* Times that any thread loaded a configuration, gave its registers back, made a product. */
typedef struct SctTileCounts {
    uint64_t config, release, dot;
} SctTileCounts;
SctTileCounts sct_tile_counts(void);

#endif
