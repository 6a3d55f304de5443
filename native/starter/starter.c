/*
 * The program `isolate`: runs client/starter/main.ts, which the build has compiled to QuickJS bytecode. The script gets
 * the command line, the environment, syscall(2) and a function to start a process (not possible with syscall(2)), and
 * nothing else. No source is compiled here: there is no eval.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "prestart.h"
#include "failure.h"
#include "quickjs.h"
#include "starter-script.h"

const char own_name[] = "isolate";

#define MOST_ARGUMENTS 6

#if defined(__x86_64__)
#define ARCHITECTURE "x64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#endif

extern char **environ;

/* The memory that the arguments of one system call point to, until it has returned. */
struct kept {
    char **strings;
    size_t count;
    size_t room;
};

static void keep(JSContext *js, struct kept *kept, char *string)
{
    if (kept->count == kept->room) {
        kept->room = kept->room ? 2 * kept->room : 16;
        kept->strings = js_realloc(js, kept->strings, kept->room * sizeof *kept->strings);
    }
    kept->strings[kept->count++] = string;
}

static void forget(JSContext *js, struct kept *kept)
{
    while (kept->count > 0)
        js_free(js, kept->strings[--kept->count]);
    js_free(js, kept->strings);
}

/*
 * Returns a C string, or NULL after an exception. U+DC80 to U+DCFF stand for bytes 0x80 to 0xff that are not UTF-8
 * (protocol/bytes.ts); QuickJS returns them as the three bytes ED B2 80 to ED B3 BF.
 */
static char *c_string(JSContext *js, JSValueConst value)
{
    size_t length;
    const char *text = JS_ToCStringLen(js, &length, value);
    if (!text)
        return NULL;
    char *bytes = js_malloc(js, length + 1);
    const uint8_t *from = (const uint8_t *)text, *end = from + length;
    char *to = bytes;
    while (from < end) {
        if (end - from >= 3 && from[0] == 0xed && (from[1] == 0xb2 || from[1] == 0xb3)) {
            *to++ = (char)((from[1] & 1) << 6 | (from[2] & 0x3f) | 0x80);
            from += 3;
        } else {
            *to++ = (char)*from++;
        }
    }
    *to = '\0';
    JS_FreeCString(js, text);
    return bytes;
}

/* Returns a null-terminated array of C strings, or NULL after an exception. */
static char **c_strings(JSContext *js, JSValueConst list, struct kept *kept)
{
    int64_t length;
    JSValue said = JS_GetPropertyStr(js, list, "length");
    int failed = JS_ToInt64(js, &length, said);
    JS_FreeValue(js, said);
    if (failed)
        return NULL;
    char **strings = js_mallocz(js, (size_t)(length + 1) * sizeof *strings);
    keep(js, kept, (char *)strings);
    for (int64_t i = 0; i < length; i++) {
        JSValue value = JS_GetPropertyUint32(js, list, (uint32_t)i);
        strings[i] = JS_IsException(value) ? NULL : c_string(js, value);
        JS_FreeValue(js, value);
        if (!strings[i])
            return NULL;
        keep(js, kept, strings[i]);
    }
    return strings;
}

/* Returns the bytes of a typed array, which outlives the call because it is an argument. */
static uint8_t *bytes_of(JSContext *js, JSValueConst array, size_t *length)
{
    size_t offset, element, whole;
    JSValue buffer = JS_GetTypedArrayBuffer(js, array, &offset, length, &element);
    if (JS_IsException(buffer))
        return NULL;
    uint8_t *bytes = JS_GetArrayBuffer(js, &whole, buffer);
    JS_FreeValue(js, buffer);
    return bytes ? bytes + offset : NULL;
}

/* Returns false after an exception. */
static bool read_word(JSContext *js, JSValueConst value, long *word, struct kept *kept)
{
    if (JS_IsNull(value) || JS_IsUndefined(value)) {
        *word = 0;
        return true;
    }
    if (JS_IsNumber(value)) {
        int64_t number;
        if (JS_ToInt64(js, &number, value))
            return false;
        *word = (long)number;
        return true;
    }
    if (JS_IsString(value)) {
        char *string = c_string(js, value);
        if (string)
            keep(js, kept, string);
        *word = (long)string;
        return string != NULL;
    }
    if (JS_IsArray(js, value)) {
        *word = (long)c_strings(js, value, kept);
        return *word != 0;
    }
    size_t length;
    *word = (long)bytes_of(js, value, &length);
    return *word != 0;
}

/* systemCall(number, words): returns the kernel's result; a negative result is an error number. */
static JSValue system_call(JSContext *js, JSValueConst self, int count, JSValueConst *arguments)
{
    (void)self, (void)count;
    struct kept kept = { 0 };
    long words[MOST_ARGUMENTS] = { 0 };
    int32_t number;
    bool good = !JS_ToInt32(js, &number, arguments[0]);

    for (uint32_t i = 0; good && i < MOST_ARGUMENTS; i++) {
        JSValue value = JS_GetPropertyUint32(js, arguments[1], i);
        good = !JS_IsException(value) && read_word(js, value, &words[i], &kept);
        JS_FreeValue(js, value);
    }
    long result = 0;
    if (good) {
        result = syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
        if (result == -1)
            result = -errno;
    }
    forget(js, &kept);
    return good ? JS_NewInt64(js, result) : JS_EXCEPTION;
}

/* start(words, descriptors): returns the engine's process id, or a negative error number. */
static JSValue start(JSContext *js, JSValueConst self, int count, JSValueConst *arguments)
{
    (void)self, (void)count;
    struct kept kept = { 0 };
    size_t length = 0;
    char **words = c_strings(js, arguments[0], &kept);
    const uint8_t *descriptors = words ? bytes_of(js, arguments[1], &length) : NULL;
    pid_t child = 0;

    if (descriptors)
        child = start_waiting_engine(words, (const int32_t *)descriptors, length / sizeof(int32_t));
    forget(js, &kept);
    return descriptors ? JS_NewInt32(js, child) : JS_EXCEPTION;
}

static JSValue let_it_go(JSContext *js, JSValueConst self, int count, JSValueConst *arguments)
{
    (void)js, (void)self, (void)count, (void)arguments;
    let_go();
    return JS_UNDEFINED;
}

static JSValue drop(JSContext *js, JSValueConst self, int count, JSValueConst *arguments)
{
    (void)js, (void)self, (void)count, (void)arguments;
    drop_waiting_engine();
    return JS_UNDEFINED;
}

static JSValue encode(JSContext *js, JSValueConst self, int count, JSValueConst *arguments)
{
    (void)self, (void)count;
    size_t length;
    const char *text = JS_ToCStringLen(js, &length, arguments[0]);
    if (!text)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewArrayBufferCopy(js, (const uint8_t *)text, length);
    JS_FreeCString(js, text);
    return bytes;
}

/* QuickJS would accept an encoded surrogate, ED A0 80 to ED BF BF, which is not UTF-8: RFC 3629, section 3. */
static JSValue decode(JSContext *js, JSValueConst self, int count, JSValueConst *arguments)
{
    (void)self, (void)count;
    size_t length;
    const uint8_t *bytes = bytes_of(js, arguments[0], &length);
    if (!bytes)
        return JS_EXCEPTION;
    char *text = js_malloc(js, length + 1);
    for (size_t i = 0; i < length; i++) {
        bool surrogate = bytes[i] == 0xed && i + 1 < length && bytes[i + 1] >= 0xa0;
        text[i] = (char)(surrogate ? 0xff : bytes[i]);
    }
    JSValue string = JS_NewStringLen(js, text, length);
    js_free(js, text);
    return string;
}

static JSValue end(JSContext *js, JSValueConst self, int count, JSValueConst *arguments)
{
    (void)self, (void)count;
    int32_t code = EXIT_OURS;
    JS_ToInt32(js, &code, arguments[0]);
    _exit(code);
}

static void fail_with(JSContext *js, JSValueConst thrown)
{
    const char *text = JS_ToCString(js, thrown);
    fail("cannot go on: %s", text ? text : "the reason is unknown");
}

/* A promise is often rejected before it is awaited. One that is never awaited is a bug in isolate. */
static struct {
    int count;
    JSValue reason;
} unawaited;

static void rejected(JSContext *js, JSValueConst promise, JSValueConst reason, int handled, void *data)
{
    (void)promise, (void)data;
    unawaited.count += handled ? -1 : 1;
    if (handled)
        return;
    unawaited.reason = JS_DupValue(js, reason);
}

static JSValue byte_strings(JSContext *js, char **strings)
{
    JSValue list = JS_NewArray(js);
    for (uint32_t i = 0; strings[i]; i++)
        JS_SetPropertyUint32(js, list, i, JS_NewArrayBufferCopy(js, (const uint8_t *)strings[i], strlen(strings[i])));
    return list;
}

/* Defines the object that client/starter/native.ts describes. */
static void offer_native(JSContext *js, char **words)
{
    static const JSCFunctionListEntry functions[] = {
        JS_CFUNC_DEF("systemCall", 2, system_call),
        JS_CFUNC_DEF("start", 2, start),
        JS_CFUNC_DEF("letGo", 0, let_it_go),
        JS_CFUNC_DEF("drop", 0, drop),
        JS_CFUNC_DEF("encode", 1, encode),
        JS_CFUNC_DEF("decode", 1, decode),
        JS_CFUNC_DEF("exit", 1, end),
        JS_PROP_STRING_DEF("architecture", ARCHITECTURE, 0),
    };
    JSValue global = JS_GetGlobalObject(js);
    JSValue native = JS_NewObject(js);
    JS_SetPropertyFunctionList(js, native, functions, sizeof functions / sizeof *functions);
    JS_SetPropertyStr(js, native, "words", byte_strings(js, words));
    JS_SetPropertyStr(js, native, "environment", byte_strings(js, environ));
    JS_SetPropertyStr(js, global, "native", native);
    JS_FreeValue(js, global);
}

/* No other descriptor that is opened later, such as the lease, may become 0, 1 or 2. */
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) == -1)
            fail("cannot open /dev/null: %s", strerror(errno));
}

/*
 * Memory is allocated sequentially from large pieces and freed only by the end of this program, which is near. With
 * malloc(3) and free(3), QuickJS would spend a fifth of a run's start there. For the same reason memory is not counted,
 * so that no garbage is collected. If memory runs out, the program ends immediately: QuickJS would throw, and if it
 * cannot allocate the exception, it would call itself until the stack overflows.
 */
enum { PIECE = 1 << 20, ALIGNMENT = 2 * sizeof(size_t) };

static struct {
    char *next;
    size_t left;
} piece;

/* The size of an allocation is stored before it. */
static size_t *room_of(const void *memory)
{
    return (size_t *)memory - ALIGNMENT / sizeof(size_t);
}

static void *allocate(JSMallocState *state, size_t size)
{
    (void)state;
    if (size > PTRDIFF_MAX - PIECE)
        fail("cannot go on: out of memory");
    size_t room = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    size_t whole = ALIGNMENT + room;
    if (whole > piece.left) {
        piece.left = whole > PIECE ? whole : PIECE;
        piece.next = mmap(NULL, piece.left, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece.next == MAP_FAILED)
            fail("cannot go on: out of memory");
    }
    void *memory = piece.next + ALIGNMENT;
    *room_of(memory) = room;
    piece.next += whole;
    piece.left -= whole;
    return memory;
}

static void release(JSMallocState *state, void *memory)
{
    (void)state, (void)memory;
}

static size_t usable_size(const void *memory)
{
    return memory ? *room_of(memory) : 0;
}

static void *reallocate(JSMallocState *state, void *memory, size_t size)
{
    size_t room = usable_size(memory);
    if (size == 0 || (memory && size <= room))
        return size == 0 ? NULL : memory;
    /* Leave room: memory that grows once mostly grows again. */
    void *larger = allocate(state, size + room / 2);
    if (memory)
        memcpy(larger, memory, room);
    return larger;
}

int main(int argc, char **argv)
{
    static const JSMallocFunctions memory = { allocate, release, reallocate, usable_size };
    open_standard_descriptors();
    /* A failed write must not end a run. client/run/launch.ts restores the defaults. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    JSRuntime *runtime = JS_NewRuntime2(&memory, NULL);
    JSContext *js = JS_NewContextRaw(runtime);
    JS_SetHostPromiseRejectionTracker(runtime, rejected, NULL);
    JS_AddIntrinsicBaseObjects(js);
    JS_AddIntrinsicDate(js);
    JS_AddIntrinsicRegExp(js);
    JS_AddIntrinsicRegExpCompiler(js);
    JS_AddIntrinsicJSON(js);
    JS_AddIntrinsicMapSet(js);
    JS_AddIntrinsicTypedArrays(js);
    JS_AddIntrinsicPromise(js);
    offer_native(js, argc > 0 ? argv + 1 : argv);

    JSValue script = JS_ReadObject(js, starter_script, starter_script_size, JS_READ_OBJ_BYTECODE);
    if (JS_IsException(script) || JS_ResolveModule(js, script) < 0)
        fail_with(js, JS_GetException(js));
    JSValue result = JS_EvalFunction(js, script);
    if (JS_IsException(result))
        fail_with(js, JS_GetException(js));
    JSContext *of;
    int more;
    while ((more = JS_ExecutePendingJob(runtime, &of)) > 0)
        ;
    if (more < 0)
        fail_with(of, JS_GetException(of));
    if (unawaited.count > 0)
        fail_with(js, unawaited.reason);
    /* Nothing is freed: the kernel does that. */
    return EXIT_SUCCESS;
}
