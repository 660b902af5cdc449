// The sum of a tensor over several processes, by libtorch's own package for it (c10d) and its engine for
// CPUs (gloo): see spread.rs.
//
// libtorch is built with gloo inside and comes without gloo's headers. Its own header names five of them and
// needs no more of gloo than what is declared here, behind pointers; build.rs puts five empty files where they
// are looked for. Nothing here makes or calls an object of gloo's.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace gloo {
struct Context {
  void setTimeout(std::chrono::milliseconds);
};
namespace rendezvous {
struct Store {
  virtual ~Store();
  virtual void set(const std::string &, const std::vector<char> &) = 0;
  virtual std::vector<char> get(const std::string &) = 0;
  virtual void wait(const std::vector<std::string> &) = 0;
  virtual void wait(const std::vector<std::string> &, const std::chrono::milliseconds &) = 0;
};
} // namespace rendezvous
namespace transport {
struct Device;
struct UnboundBuffer {
  virtual ~UnboundBuffer();
};
} // namespace transport
} // namespace gloo

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "native.h"

using c10d::ProcessGroupGloo;
using Group = c10::intrusive_ptr<ProcessGroupGloo>;
using native::problem_of;

extern "C" {

// Waits until `size` processes have come together at `host`:`port`, where rank 0 listens; `address` is this
// machine's, by which the others reach it. Returns null, or what went wrong, to be freed.
char *spread_join(const char *host, uint16_t port, int rank, int size, const char *address,
                  Group **joined) {
  return problem_of([&] {
    c10d::TCPStoreOptions meeting;
    meeting.port = port;
    meeting.isServer = rank == 0;
    meeting.numWorkers = size;
    meeting.timeout = std::chrono::minutes(1);
    auto store = c10::make_intrusive<c10d::TCPStore>(host, meeting);
    auto options = ProcessGroupGloo::Options::create();
    options->timeout = std::chrono::minutes(1);
    options->devices.push_back(ProcessGroupGloo::createDeviceForHostname(address));
    *joined = new Group(c10::make_intrusive<ProcessGroupGloo>(store, rank, size, options));
  });
}

// Puts the sum over all processes into the tensor of each. Returns as above.
char *spread_sum(const Group *group, const at::Tensor *tensor) {
  return problem_of([&] {
    std::vector<at::Tensor> tensors{*tensor};
    (*group)->allreduce(tensors)->wait();
  });
}

// The group ends.
void spread_leave(Group *group) { delete group; }
}
