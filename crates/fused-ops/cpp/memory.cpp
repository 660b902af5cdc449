// Keeps the memory of large tensors on the CPU for the next ones: see memory.rs.

#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "native.h"

namespace {

// In bytes. Smaller ones the C library keeps itself.
constexpr size_t LARGE = size_t(1) << 20;
// Memory of which the system makes pages of 2 MiB, where it can.
constexpr size_t HUGE = size_t(1) << 22;

// A tensor that is up to an eighth larger can take its place.
size_t rounded(size_t bytes) {
  size_t step = (size_t(1) << (63 - __builtin_clzll(bytes))) / 8;
  return (bytes + step - 1) / step * step;
}

class Keeper final : public c10::Allocator {
public:
  explicit Keeper(c10::Allocator *before) : before(before) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes < LARGE || !is_wanted()) {
      return before->allocate(bytes);
    }
    void *data = block(rounded(bytes));
    return {data, data, &give_back, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }

  void copy_data(void *to, const void *from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  void begin() {
    std::lock_guard<std::mutex> guard(lock);
    users += 1;
  }

  void end() {
    {
      std::lock_guard<std::mutex> guard(lock);
      users -= 1;
      if (users > 0) {
        return;
      }
    }
    free_unused();
  }

  // What nobody has used since the last call. Returns how many bytes.
  size_t free_old() {
    size_t bytes = 0;
    std::lock_guard<std::mutex> guard(lock);
    for (auto block = unused.begin(); block != unused.end();) {
      if (block->second.turn == turn) {
        ++block;
        continue;
      }
      bytes += block->first;
      c10::free_cpu(block->second.data);
      block = unused.erase(block);
    }
    turn += 1;
    return bytes;
  }

private:
  struct Unused {
    void *data;
    // The one in which it was used last.
    uint64_t turn;
  };

  static void give_back(void *data);

  bool free_unused() {
    std::lock_guard<std::mutex> guard(lock);
    bool were_any = !unused.empty();
    for (const auto &block : unused) {
      c10::free_cpu(block.second.data);
    }
    unused.clear();
    return were_any;
  }

  bool is_wanted() {
    std::lock_guard<std::mutex> guard(lock);
    return users > 0;
  }

  void *block(size_t size) {
    {
      std::lock_guard<std::mutex> guard(lock);
      auto found = unused.lower_bound(size);
      if (found != unused.end() && found->first <= size + size / 4) {
        void *data = found->second.data;
        lent.emplace(data, found->first);
        unused.erase(found);
        return data;
      }
    }
    void *data = made(size);
    std::lock_guard<std::mutex> guard(lock);
    lent.emplace(data, size);
    return data;
  }

  void *made(size_t size) {
    void *data = nullptr;
    try {
      data = c10::alloc_cpu(size);
    } catch (const c10::Error &) {
      // What lies unused may be all that is missing.
      if (!free_unused()) {
        throw;
      }
      data = c10::alloc_cpu(size);
    }
#ifdef __linux__
    if (size >= HUGE) {
      // Whole pages of it. Where the system has no large ones, small ones serve.
      size_t page = 4096;
      size_t begin = (reinterpret_cast<size_t>(data) + page - 1) / page * page;
      size_t end = (reinterpret_cast<size_t>(data) + size) / page * page;
      madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE);
    }
#endif
    return data;
  }

  // True for a block of this keeper's, which is taken.
  bool taken_back(void *data) {
    std::unique_lock<std::mutex> guard(lock);
    auto found = lent.find(data);
    if (found == lent.end()) {
      return false;
    }
    size_t size = found->second;
    lent.erase(found);
    if (users > 0) {
      unused.emplace(size, Unused{data, turn});
      return true;
    }
    guard.unlock();
    c10::free_cpu(data);
    return true;
  }

  c10::Allocator *before;
  std::mutex lock;
  // How many want memory kept.
  int users = 0;
  // Goes on with each call of free_old.
  uint64_t turn = 0;
  // By size.
  std::multimap<size_t, Unused> unused;
  std::unordered_map<void *, size_t> lent;
};

// Lives as long as the process: a tensor may end after everything else.
Keeper &keeper() {
  static Keeper *keeper = [] {
    auto *made = new Keeper(c10::GetCPUAllocator());
    c10::SetCPUAllocator(made, 255);
    return made;
  }();
  return *keeper;
}

void Keeper::give_back(void *data) {
  if (!keeper().taken_back(data)) {
    keeper().before->raw_deleter()(data);
  }
}

} // namespace

extern "C" {

// Returns null, or what went wrong, to be freed.
char *fused_ops_keep_memory() {
  return native::problem_of([] { keeper().begin(); });
}

void fused_ops_keep_memory_no_more() { keeper().end(); }

size_t fused_ops_free_old_memory() { return keeper().free_old(); }
}
