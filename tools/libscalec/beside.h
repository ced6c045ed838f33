/* SPDX-License-Identifier: Apache-2.0 */
/* A file of weights beside an artefact, while it has no name of its own yet. */
#ifndef SCALEC_BESIDE_H
#define SCALEC_BESIDE_H

#include "tools/libscalec/scalec.h"

typedef struct ScalecBeside {
    const char *output; /* the artefact's path; NULL: there is none */
    char *path;         /* of the file, noted as temporary, from malloc; NULL: none was opened */
} ScalecBeside;

/* What opens it, for ScCodegenOptions.weights_file with the ScalecBeside as its argument; NULL
 * where the artefact will be no file, so that nothing may lie beside it. */
int (*scalec_beside_opener(const ScalecBeside *b))(void *beside);

#endif
