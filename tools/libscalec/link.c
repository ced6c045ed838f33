/* SPDX-License-Identifier: Apache-2.0 */
/* Artefacts on disk. Executables and shared objects are linked by the user's C compiler, started
 * without a shell, in a temporary folder; the result is moved into place whole. */
#include "tools/libscalec/scalec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool has_runtime(ScArena *a, const char *dir)
{
    return dir && access(sc_printf(a, "%s/libscrt.a", dir), R_OK) == 0;
}

/* The folder of libscrt.a and libscrtio.a: $SCALEC_LIBDIR; beside this program, as the build lays
 * it out or as it is installed; where the build was told to install. */
static const char *runtime_dir(ScArena *a)
{
    const char *env = getenv("SCALEC_LIBDIR");
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (env)
        return has_runtime(a, env) ? env : NULL;
    self[n > 0 ? n : 0] = '\0';
    for (char *slash = strrchr(self, '/'); slash; slash = strrchr(self, '/')) {
        *slash = '\0';
        const char *built = sc_printf(a, "%s/runtime", self);
        const char *installed = sc_printf(a, "%s/" SC_LIBDIR, self);
        if (has_runtime(a, built))
            return built;
        if (has_runtime(a, installed))
            return installed;
    }
    return has_runtime(a, SC_PREFIX "/" SC_LIBDIR) ? SC_PREFIX "/" SC_LIBDIR : NULL;
}

/* Runs argv and answers its output in *log; true for exit status 0. */
static bool run(char *const *argv, const char *log_path, ScStr *log)
{
    posix_spawn_file_actions_t act;
    pid_t pid;
    int status = 1;
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_addopen(&act, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_addopen(&act, STDOUT_FILENO, log_path, O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&act, STDOUT_FILENO, STDERR_FILENO);
    int err = posix_spawnp(&pid, argv[0], &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    if (err) {
        sc_str_addf(log, "%s: %s", argv[0], strerror(err));
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    FILE *f = fopen(log_path, "r");
    char buf[1024];
    for (size_t got; f && (got = fread(buf, 1, sizeof buf, f)) > 0 && log->n < 4000;)
        sc_str_addn(log, buf, got);
    if (f)
        fclose(f);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const char main_text[] =
    "#include <stdint.h>\n"
    "typedef struct ScrtModel ScrtModel;\n"
    "extern const ScrtModel %s;\n"
    "int scrt_main(const ScrtModel *, int, char **);\n"
    "int main(int argc, char **argv) { return scrt_main(&%s, argc, argv); }\n";

/* Links in dir; the result is dir/out. */
static bool link_in(ScCtx *cx, ScArena *a, const ScObject *o, ScalecOutput kind, const char *dir)
{
    const char *lib = runtime_dir(a);
    if (!lib)
        return sc_fail(cx, NULL, SC_E_LINK,
                       "libscrt.a was not found; $SCALEC_LIBDIR names its folder");
    char *obj = sc_printf(a, "%s/model.o", dir), *stub = sc_printf(a, "%s/main.c", dir);
    char *text = sc_printf(a, main_text, o->symbol, o->symbol);
    char *out = sc_printf(a, "%s/out", dir), *log_path = sc_printf(a, "%s/log", dir);
    if (!scalec_write_file(cx, obj, o->bytes, o->n) ||
        !scalec_write_file(cx, stub, text, strlen(text)))
        return false;
    char *scrt = sc_printf(a, "%s/libscrt.a", lib), *scrtio = sc_printf(a, "%s/libscrtio.a", lib);
    char *const exe[] = {"cc",   "-O1", "-o",  out,   stub,       obj,
                         scrtio, scrt,  "-lz", "-lm", "-pthread", NULL};
    char *const so[] = {"cc",
                        "-shared",
                        "-Wl,-Bsymbolic",
                        "-Wl,-z,noexecstack",
                        "-o",
                        out,
                        obj,
                        "-Wl,--whole-archive",
                        scrtio,
                        scrt,
                        "-Wl,--no-whole-archive",
                        "-lz",
                        "-lm",
                        "-pthread",
                        NULL};
    ScStr log = {0};
    bool ok = run(kind == SCALEC_EXE ? exe : so, log_path, &log);
    if (!ok) {
        sc_fail(cx, NULL, SC_E_LINK, "cc");
        sc_note(cx, "%s", sc_str_get(&log));
    }
    sc_str_free(&log);
    return ok;
}

static void remove_dir(ScArena *a, const char *dir)
{
    static const char *const names[] = {"model.o", "main.c", "out", "log"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(sc_printf(a, "%s/%s", dir, names[i]));
    rmdir(dir);
}

/* model.o -> model.h; model -> model.h */
static char *header_path(ScArena *a, const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    int n = dot ? (int)(dot - path) : (int)strlen(path);
    return sc_printf(a, "%.*s.h", n, path);
}

/* The file that a linked result becomes: a link is followed, a device or a folder is refused, for
 * renaming would replace it. */
static const char *link_target(ScCtx *cx, ScArena *a, const char *path)
{
    char real[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) != 0 || S_ISREG(st.st_mode))
        return path;
    const char *at = realpath(path, real);
    if (at && stat(at, &st) == 0 && S_ISREG(st.st_mode))
        return sc_printf(a, "%s", at);
    sc_fail(cx, NULL, SC_E_WRITE, "%s: %s", path,
            !at                   ? strerror(errno)
            : S_ISDIR(st.st_mode) ? strerror(EISDIR)
                                  : "it is no regular file");
    return NULL;
}

/* Weights that are not in the artefact: the file that they were packed into gets its name. */
static bool write_weights(ScCtx *cx, ScArena *a, const ScObject *o, const char *path)
{
    const char *name = sc_printf(a, "%s.weights", path), *to;
    if (o->embedded || o->n_weights == 0)
        return true;
    if (!o->weights_path)
        return scalec_write_file(cx, name, o->weights, o->n_weights);
    to = scalec_may_write(cx, name) ? link_target(cx, a, name) : NULL;
    return to && (rename(o->weights_path, to) == 0 ||
                  sc_fail(cx, NULL, SC_E_WRITE, "%s: %s", name, strerror(errno)));
}

/* What lies beside an artefact: weights that are not in it, and its header. */
static bool write_beside(ScCtx *cx, ScArena *a, const ScObject *o, ScalecOutput kind,
                         const char *path)
{
    return write_weights(cx, a, o, path) &&
           (kind == SCALEC_EXE ||
            scalec_write_file(cx, header_path(a, path), o->header, strlen(o->header)));
}

/* The folder is made beside the result, so that moving it there is one rename. What lies beside the
 * result is written only when it is linked. */
static bool link_to(ScCtx *cx, ScArena *a, const ScObject *o, ScalecOutput kind, const char *path)
{
    const char *to = link_target(cx, a, path);
    char *dir = to ? sc_printf(a, "%s.XXXXXX", to) : NULL;
    if (!to)
        return false;
    if (!mkdtemp(dir))
        return sc_fail(cx, NULL, SC_E_WRITE, "%s: %s", path, strerror(errno));
    bool ok = link_in(cx, a, o, kind, dir) && write_beside(cx, a, o, kind, path) &&
              (rename(sc_printf(a, "%s/out", dir), to) == 0 ||
               sc_fail(cx, NULL, SC_E_WRITE, "%s: %s", path, strerror(errno)));
    remove_dir(a, dir);
    return ok;
}

bool scalec_write(ScCtx *cx, const ScObject *o, ScalecOutput kind, const char *path)
{
    bool linked = kind == SCALEC_EXE || kind == SCALEC_SO, std_out = !strcmp(path, "-");
    if (linked && std_out)
        return sc_fail(cx, NULL, SC_E_WRITE, "a linked program cannot go to standard output");
    if (!scalec_may_write(cx, path))
        return false;
    if (kind == SCALEC_ASM || kind == SCALEC_LLVM)
        return scalec_write_file(cx, path, o->bytes, o->n);
    ScArena *a = sc_arena_new();
    bool ok = linked ? link_to(cx, a, o, kind, path)
                     : (std_out || write_beside(cx, a, o, kind, path)) &&
                           scalec_write_file(cx, path, o->bytes, o->n);
    sc_arena_free(a);
    return ok;
}

void scalec_object_free(ScObject *o)
{
    if (o && o->weights_path) /* where it became a file of its own, nothing has this name */
        scrt_temporary_remove(o->weights_path);
    sc_object_free(o);
}
