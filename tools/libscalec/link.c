/* SPDX-License-Identifier: Apache-2.0 */
/* Artefacts on disk. What belongs together is made whole in a temporary folder beside the result,
 * and then moved into place at once. Executables and shared objects are linked there by the user's
 * C compiler, started without a shell. */
#include "tools/libscalec/scalec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* The folder of scrt.h: above the libraries where they are installed, else that of the sources. */
static const char *header_dir(ScArena *a, const char *lib)
{
    for (char *at = lib ? sc_strdup(a, lib) : NULL; at && *at;) {
        const char *dir = sc_printf(a, "%s/include/scalec", at);
        if (access(sc_printf(a, "%s/scrt.h", dir), R_OK) == 0)
            return dir;
        char *slash = strrchr(at, '/');
        *(slash ? slash : at) = '\0';
    }
    return access(SC_HEADERS "/scrt.h", R_OK) == 0 ? SC_HEADERS : "DIR";
}

/* " text" as one word of a shell. */
static void add_word(ScStr *s, const char *text)
{
    size_t plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./,:@%");
    if (!text[plain]) {
        sc_str_addf(s, " %s", text);
        return;
    }
    sc_str_add(s, " '");
    for (; *text; text++)
        sc_str_add(s, *text == '\'' ? "'\\''" : (char[2]){*text});
    sc_str_add(s, "'");
}

const char *scalec_link_line(ScCtx *cx, ScalecOutput kind, const char *path)
{
    ScArena *a = sc_ctx_arena(cx);
    const char *lib = runtime_dir(a), *folder = scalec_folder(cx, path);
    char real[PATH_MAX];
    ScStr s = {0};
    sc_str_add(&s, "cc main.c");
    add_word(&s, sc_printf(a, "-I%s", header_dir(a, lib)));
    if (strchr(path, '/'))
        add_word(&s, sc_printf(a, "-I%s", folder));
    add_word(&s, path);
    /* The program finds a .so when it starts; -Wl would cut a path at its commas. */
    if (kind == SCALEC_SO) {
        sc_str_add(&s, " -Xlinker -rpath -Xlinker");
        add_word(&s, realpath(folder, real) ? real : folder);
    } else {
        add_word(&s, sc_printf(a, "%s/libscrt.a", lib ? lib : "DIR"));
    }
    sc_str_add(&s, kind == SCALEC_SO ? "" : " -lm -pthread");
    return sc_str_keep(&s, a);
}

/* --- The C compiler --------------------------------------------------------------------------- */

static volatile pid_t linker; /* the process group of cc while it runs; 0: it does not */

static void end_by(int signal_number)
{
    if (linker > 0) {
        kill(-linker, SIGKILL);
        waitpid(linker, NULL, 0);
    }
    scrt_temporaries_remove();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void scalec_end_on_signals(void)
{
    scrt_end_on_signals(end_by);
}

/* The environment with TMPDIR as the folder: what cc writes meanwhile needs no room in /tmp, and
 * goes when the folder does. */
static char **environment(ScArena *a, const char *dir)
{
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **ret = sc_array(a, char *, n + 2);
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "TMPDIR=", 7))
            ret[k++] = environ[i];
    ret[k] = sc_printf(a, "TMPDIR=%s", dir);
    return ret;
}

/* Runs argv in a process group of its own and answers its output in *log. 0, or errno where it
 * could not be started, or -1 for an exit status that is not 0. */
static int run(ScArena *a, char *const *argv, const char *dir, ScStr *log)
{
    posix_spawn_file_actions_t act;
    posix_spawnattr_t attr;
    pid_t pid;
    int status = 1;
    const char *log_path = sc_printf(a, "%s/log", dir);
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_addopen(&act, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&act, STDOUT_FILENO, log_path, O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&act, STDOUT_FILENO, STDERR_FILENO);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    int err = posix_spawnp(&pid, argv[0], &act, &attr, argv, environment(a, dir));
    posix_spawn_file_actions_destroy(&act);
    posix_spawnattr_destroy(&attr);
    if (err)
        return err;
    linker = pid;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    linker = 0;
    FILE *f = fopen(log_path, "r");
    char buf[1024];
    for (size_t got; f && (got = fread(buf, 1, sizeof buf, f)) > 0 && log->n < 4000;)
        sc_str_addn(log, buf, got);
    if (f)
        fclose(f);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static const char main_text[] =
    "#include <stdint.h>\n"
    "typedef struct ScrtModel ScrtModel;\n"
    "extern const ScrtModel %s;\n"
    "static const ScrtModel *const scrt_compiled = &%s; /* outside main: the model may be argc */\n"
    "int scrt_main(const ScrtModel *, int, char **);\n"
    "int main(int argc, char **argv) { return scrt_main(scrt_compiled, argc, argv); }\n";

/* What a shared object lets others see: the model and the runtime's interface. */
static const char exports_text[] = "{ global: %s; scrt_*; local: *; };\n";

/* A set of files in the making. */
typedef struct Stage {
    ScCtx *cx;
    ScArena *a;
    const ScObject *o;
    const char *path; /* as it was asked for */
    const char *to;   /* the file that it is: links are followed */
    char *dir;        /* the temporary folder beside it */
    char *out;        /* in it: the result */
} Stage;

/* Writes a file of the folder; what goes wrong is said of the result. */
static bool put(const Stage *s, const char *file, const void *bytes, size_t n)
{
    ScrtIoError err;
    if (scrt_file_write(file, bytes, n, &err) == SCRT_OK)
        return true;
    memmove(err.text, err.text + strlen(file), strlen(err.text + strlen(file)) + 1);
    return scalec_write_failed(s->cx, s->path, &err);
}

static bool link_failed(const Stage *s, int err, const ScStr *log)
{
    if (err > 0) {
        sc_fail_file(s->cx, NULL, SC_E_LINK, "the C compiler `cc` cannot be run: %s",
                     strerror(err));
        sc_note(s->cx,
                "install one (the packages gcc or clang), or do without: --emit obj makes an "
                "object, and scalec run runs the model");
        return false;
    }
    sc_fail_file(s->cx, s->path, SC_E_LINK, "cc");
    sc_note(s->cx, "%s", sc_str_get(log));
    return false;
}

/* Makes s->out of the object and the runtime. */
static bool link_out(const Stage *s, ScalecOutput kind)
{
    SC_STAGE(s->cx, "linking");
    ScArena *a = s->a;
    const char *lib = runtime_dir(a);
    if (!lib)
        return sc_fail_file(s->cx, NULL, SC_E_LINK,
                            "libscrt.a was not found; $SCALEC_LIBDIR names its folder");
    char *obj = sc_printf(a, "%s/model.o", s->dir), *stub = sc_printf(a, "%s/main.c", s->dir);
    char *map = sc_printf(a, "%s/exports", s->dir);
    char *text = sc_printf(a, main_text, s->o->symbol, s->o->symbol);
    char *exports = sc_printf(a, exports_text, s->o->symbol);
    char *scrt = sc_printf(a, "%s/libscrt.a", lib), *scrtio = sc_printf(a, "%s/libscrtio.a", lib);
    char *script = sc_printf(a, "--version-script=%s", map); /* -Wl would cut it at commas */
    if (!put(s, obj, s->o->bytes, s->o->n) || !put(s, stub, text, strlen(text)) ||
        !put(s, map, exports, strlen(exports)))
        return false;
    char *const exe[] = {"cc",   "-O1", "-o",  s->out, stub,       obj,
                         scrtio, scrt,  "-lz", "-lm",  "-pthread", NULL};
    char *const so[] = {"cc",
                        "-shared",
                        "-Xlinker",
                        script,
                        "-Wl,-Bsymbolic",
                        "-Wl,-z,noexecstack",
                        "-o",
                        s->out,
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
    int err = run(a, kind == SCALEC_EXE ? exe : so, s->dir, &log);
    bool ok = err == 0 || link_failed(s, err, &log);
    sc_str_free(&log);
    return ok;
}

/* --- The files of an artefact ----------------------------------------------------------------- */

/* model.o -> model.h; model -> model.h */
static char *header_path(ScArena *a, const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    int n = dot ? (int)(dot - path) : (int)strlen(path);
    return sc_printf(a, "%.*s.h", n, path);
}

static char *weights_path(ScArena *a, const char *path)
{
    return sc_printf(a, "%s.weights", path);
}

uint32_t scalec_written_beside(ScCtx *cx, ScalecOutput kind, const char *path, const char *ret[2])
{
    ScArena *a = sc_ctx_arena(cx);
    char real[PATH_MAX];
    uint32_t n = 0;
    if (kind == SCALEC_ASM || kind == SCALEC_LLVM)
        return 0;
    if (kind != SCALEC_EXE)
        ret[n++] = header_path(a, path);
    ret[n++] = weights_path(a, realpath(path, real) ? real : path);
    return n;
}

/* The file that a result becomes: a link is followed, a device or a folder is refused, for renaming
 * would replace it. */
static const char *target_of(ScCtx *cx, ScArena *a, const char *path)
{
    char real[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) != 0 || S_ISREG(st.st_mode))
        return path;
    const char *at = realpath(path, real);
    if (at && stat(at, &st) == 0 && S_ISREG(st.st_mode))
        return sc_printf(a, "%s", at);
    sc_fail_file(cx, path, SC_E_WRITE, "%s",
                 !at                   ? strerror(errno)
                 : S_ISDIR(st.st_mode) ? strerror(EISDIR)
                                       : "it is no regular file");
    return NULL;
}

/* Moves the set into place. Two compilations of one output take turns, so that no program stands
 * beside the other's weights. */
static bool move_all(const Stage *s, ScalecOutput kind)
{
    bool apart = !s->o->embedded && s->o->n_weights;
    int lock = open(scalec_folder(s->cx, s->to), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0)
        flock(lock, LOCK_EX); /* where the file system has none, each rename is still whole */
    bool ok = kind == SCALEC_EXE || scalec_write_file(s->cx, header_path(s->a, s->path),
                                                      s->o->header, strlen(s->o->header));
    const char *weights = weights_path(s->a, s->to);
    const char *packed = s->o->weights_path ? s->o->weights_path : weights_path(s->a, s->out);
    if (ok && apart && rename(packed, weights) != 0)
        ok = sc_fail_file(s->cx, weights, SC_E_WRITE, "%s", strerror(errno));
    if (ok && rename(s->out, s->to) != 0)
        ok = sc_fail_file(s->cx, s->path, SC_E_WRITE, "%s", strerror(errno));
    if (lock >= 0)
        close(lock);
    return ok;
}

/* The result, its weights and its header, each of which is no input. */
static bool write_set(Stage *s, ScalecOutput kind)
{
    bool apart = !s->o->embedded && s->o->n_weights;
    if ((apart && !scalec_may_write(s->cx, weights_path(s->a, s->to))) ||
        (kind != SCALEC_EXE && !scalec_may_write(s->cx, header_path(s->a, s->path))))
        return false;
    s->dir = sc_printf(s->a, "%s.XXXXXX", s->to);
    if (!mkdtemp(s->dir))
        return sc_fail_file(s->cx, s->path, SC_E_WRITE, "%s", strerror(errno));
    scrt_temporary(s->dir);
    s->out = sc_printf(s->a, "%s/out", s->dir);
    bool ok = (kind == SCALEC_OBJ ? put(s, s->out, s->o->bytes, s->o->n) : link_out(s, kind)) &&
              (!apart || s->o->weights_path ||
               put(s, weights_path(s->a, s->out), s->o->weights, s->o->n_weights)) &&
              move_all(s, kind);
    scrt_temporary_remove(s->dir);
    return ok;
}

/* An object to a pipe or standard output, its header beside where it can be. */
static bool stream_object(ScCtx *cx, ScArena *a, const ScObject *o, const char *path)
{
    if (strcmp(path, "-") &&
        !scalec_write_file(cx, header_path(a, path), o->header, strlen(o->header)))
        return false;
    return scalec_write_file(cx, path, o->bytes, o->n);
}

bool scalec_write(ScCtx *cx, const ScObject *o, ScalecOutput kind, const char *path)
{
    bool linked = kind == SCALEC_EXE || kind == SCALEC_SO, std_out = !strcmp(path, "-");
    struct stat st;
    if (linked && std_out)
        return sc_fail_file(cx, NULL, SC_E_WRITE, "a linked program cannot go to standard output");
    if (!scalec_may_write(cx, path))
        return false;
    if (kind == SCALEC_ASM || kind == SCALEC_LLVM)
        return scalec_write_file(cx, path, o->bytes, o->n);
    ScArena *a = sc_arena_new();
    bool ok,
        stream = std_out || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
    if (!linked && stream) {
        ok = stream_object(cx, a, o, path);
    } else {
        Stage s = {.cx = cx, .a = a, .o = o, .path = path, .to = target_of(cx, a, path)};
        ok = s.to && write_set(&s, kind);
    }
    sc_arena_free(a);
    return ok;
}

void scalec_object_free(ScObject *o)
{
    if (o && o->weights_path) /* where it became a file of its own, nothing has this name */
        scrt_temporary_remove(o->weights_path);
    sc_object_free(o);
}
