/* SPDX-License-Identifier: Apache-2.0 */
/* Slips of the pen: which word was meant. */
#include "tools/scalec/options.h"

#include <string.h>

enum { MAX_WORD = 32 };

/* Letters to put in, take out, change, or swap with the next, to make a from b. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[3][MAX_WORD + 1] = {0};
    size_t n = strlen(b);
    if (n > MAX_WORD || strlen(a) > MAX_WORD)
        return UINT32_MAX;
    for (uint32_t k = 0; k <= n; k++)
        row[0][k] = k;
    for (uint32_t i = 1; a[i - 1]; i++) {
        uint32_t *now = row[i % 3];
        const uint32_t *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (uint32_t k = 1; k <= n; k++) {
            uint32_t best = last[k - 1] + (a[i - 1] != b[k - 1]);
            best = last[k] + 1 < best ? last[k] + 1 : best;
            best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                before[k - 2] + 1 < best)
                best = before[k - 2] + 1;
            now[k] = best;
        }
    }
    return row[strlen(a) % 3][n];
}

/* A beginning counts as near, else a third of the letters may differ. */
const char *cli_nearest(const char *word, const char *(*name)(uint32_t i), uint32_t n)
{
    const char *best = NULL;
    size_t length = strlen(word);
    uint32_t least = (uint32_t)length / 3 + 1;
    for (uint32_t i = 0; i < n; i++) {
        const char *is = name(i);
        bool begins = length > 1 && !strncmp(word, is, length);
        uint32_t d = begins ? 0 : distance(word, is);
        if (d < least || (d == least && !best && d <= length / 3)) {
            least = d;
            best = is;
        }
    }
    return best;
}
