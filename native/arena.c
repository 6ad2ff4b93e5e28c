/* Maps Bifrost's arena, one sparse shared file, into Node and hands out views of it.
 *
 * Who owns what: Python creates the file and decides which parts of it are in use.
 * The process owns the mapping: made once, shared by all its threads, and kept until
 * the process ends, since an ArrayBuffer may outlive whoever asked for it. A view owns
 * nothing; when to give its bytes back to Python is known to src/bifrost/js only. */

#define _GNU_SOURCE
#include <errno.h>
#include <node_api.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static const double kLargestLength = 4503599627370496.0; /* 2**52, exact as a JS number */

/* `arena_base` is set last and under the lock: who sees it may use `arena_length`. */
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static char *arena_base;
static size_t arena_length;

static napi_value fail(napi_env env, const char *what, const char *why) {
  char text[256];
  snprintf(text, sizeof text, "%s: %s", what, why);
  napi_throw_error(env, NULL, text);
  return NULL;
}

/* Reads two numbers, each a whole one in [0, 2**52]; otherwise throws and returns 0. */
static int read_numbers(napi_env env, napi_callback_info info, double out[2]) {
  napi_value args[2];
  size_t count = 2;
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok) return 0;
  for (int i = 0; i < 2; i++) {
    if (napi_get_value_double(env, args[i], &out[i]) != napi_ok) {
      napi_throw_type_error(env, NULL, "arena: both arguments must be numbers");
      return 0;
    }
    if (!(out[i] >= 0 && out[i] <= kLargestLength) || out[i] != (double)(uint64_t)out[i]) {
      napi_throw_range_error(env, NULL, "arena: not a whole number from 0 to 2**52");
      return 0;
    }
  }
  return 1;
}

/* map(fd, length): maps the whole file. The descriptor stays the caller's, and may be
 * closed afterwards. Most of the file is a hole, hence no reservation of swap. */
static napi_value map(napi_env env, napi_callback_info info) {
  double in[2];
  if (!read_numbers(env, info, in)) return NULL;
  if (in[0] > INT32_MAX || in[1] < 1) return fail(env, "arena.map", "no such file or length");
  const char *why = NULL;
  pthread_mutex_lock(&arena_lock);
  if (arena_base != NULL) {
    why = "this process has mapped its arena already";
  } else {
    void *at = mmap(NULL, (size_t)in[1], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                    (int)in[0], 0);
    if (at == MAP_FAILED) {
      why = strerror(errno);
    } else {
      arena_length = (size_t)in[1];
      __atomic_store_n(&arena_base, (char *)at, __ATOMIC_RELEASE);
    }
  }
  pthread_mutex_unlock(&arena_lock);
  return why == NULL ? NULL : fail(env, "arena.map", why);
}

/* view(offset, length): an ArrayBuffer on those bytes of the arena. No finalizer: the
 * memory is not the ArrayBuffer's. Each call makes a new object, even for one offset. */
static napi_value view(napi_env env, napi_callback_info info) {
  double in[2];
  if (!read_numbers(env, info, in)) return NULL;
  char *base = __atomic_load_n(&arena_base, __ATOMIC_ACQUIRE);
  if (base == NULL) return fail(env, "arena.view", "map() comes first");
  size_t offset = (size_t)in[0], length = (size_t)in[1];
  if (offset > arena_length || length > arena_length - offset) {
    napi_throw_range_error(env, NULL, "arena.view: outside the arena");
    return NULL;
  }
  napi_value result = NULL;
  napi_status status =
      napi_create_external_arraybuffer(env, base + offset, length, NULL, NULL, &result);
  if (status == napi_ok) return result;
  if (status == napi_pending_exception) return NULL; /* Node has thrown, e.g. too large */
  return fail(env, "arena.view",
              status == napi_no_external_buffers_allowed
                  ? "this Node allows no external ArrayBuffers"
                  : "Node could not make the ArrayBuffer");
}

NAPI_MODULE_INIT() {
  napi_property_descriptor properties[] = {
      {"map", NULL, map, NULL, NULL, NULL, napi_enumerable, NULL},
      {"view", NULL, view, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, 2, properties);
  return exports;
}
