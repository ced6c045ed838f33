/* SPDX-License-Identifier: Apache-2.0 */
/* For scripts: converts the elements on standard input and writes them to standard output, both as
 * the runtime stores them. convert_tool FROM TO SATURATE ROUND N, ROUND a number of ScrtRound. */
#include "runtime/num/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
    fprintf(stderr, "convert_tool: %s\n", what);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return fail("usage: convert_tool FROM TO SATURATE ROUND N");
    ScrtDtype from = scrt_dtype_find(argv[1], strlen(argv[1]));
    ScrtDtype to = scrt_dtype_find(argv[2], strlen(argv[2]));
    size_t n = strtoull(argv[5], NULL, 10), in, out;
    if (!scrt_bytes(from, n, &in) || !scrt_bytes(to, n, &out))
        return fail("no such type");
    void *src = malloc(in + 1), *dst = calloc(out + 1, 1);
    if (!src || !dst)
        return fail("out of memory");
    if (fread(src, 1, in, stdin) != in)
        return fail("too little input");
    scrt_convert(n, to, dst, from, src, atoi(argv[3]) != 0, (ScrtRound)atoi(argv[4]));
    if (fwrite(dst, 1, out, stdout) != out || fflush(stdout) != 0)
        return fail("cannot write");
    free(src);
    free(dst);
    return EXIT_SUCCESS;
}
