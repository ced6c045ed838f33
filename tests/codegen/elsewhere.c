/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a model of one f32 input and one output where only the runtime is at hand:
 * elsewhere IN OUT DIM..., raw numbers in files. Says which level runs here. */
#include <model.h>
#include <stdio.h>
#include <stdlib.h>

/* n elements of f32 from or to a file. */
static int whole(size_t done, int64_t n, const char *path)
{
    if (done == (size_t)n)
        return 0;
    fprintf(stderr, "%s: not %lld numbers\n", path, (long long)n);
    return 1;
}

int main(int argc, char **argv)
{
    ScrtTensor x = {.dtype = SCRT_F32}, y = {0};
    ScrtSession *s = NULL;
    if (argc < 3 || argc - 3 > SCRT_MAX_RANK)
        return 2;
    for (int i = 3; i < argc; i++)
        x.dims[x.rank++] = atoll(argv[i]);
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
    if (!in || !out || scrt_tensor_alloc(&x) != SCRT_OK)
        return 2;
    if (whole(fread(x.data, 4, (size_t)scrt_count(&x), in), scrt_count(&x), argv[1]))
        return 2;
    ScrtStatus st = scrt_open(&model, NULL, &s);
    if (st == SCRT_OK)
        st = scrt_run(s, &x, &y);
    if (st != SCRT_OK)
        return fprintf(stderr, "%s: %s\n", scrt_status_text(st), s ? scrt_error(s) : ""), 1;
    puts(model.level[scrt_level_here(&model)].name);
    return whole(fwrite(y.data, 4, (size_t)scrt_count(&y), out), scrt_count(&y), argv[2]);
}
