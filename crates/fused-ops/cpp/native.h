// What the C++ of this crate shares, and that of host-device: see native.rs.

#pragma once

#include <cstring>
#include <exception>

#include <c10/util/Exception.h>

namespace native {

// Calls `work`. Returns null, or what went wrong, to be freed.
template <typename F> char *problem_of(F work) {
  try {
    work();
    return nullptr;
  } catch (const c10::Error &error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}

} // namespace native
