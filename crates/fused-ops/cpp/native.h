// What the C++ of this crate shares: see native.rs.

#pragma once

#include <cstring>
#include <exception>

namespace native {

// Calls `work`. Returns null, or what went wrong, to be freed.
template <typename F> char *problem_of(F work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}

} // namespace native
