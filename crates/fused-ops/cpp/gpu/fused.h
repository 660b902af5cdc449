// The passes of ../fused.cpp on a GPU: see fused.cpp.

#pragma once

#include "../pieces.h"

// `tensors` holds the inputs, then weight and bias of every piece that is normalised.
std::vector<at::Tensor> fused_on_gpu(const std::vector<at::Tensor> &tensors, pieces::Layout layout);
