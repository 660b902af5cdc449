// What a call of the fused passes does: see fused.cpp.

#pragma once

#include <limits>
#include <vector>

#include <torch/csrc/autograd/custom_function.h>

#include "rows.h"

namespace pieces {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Piece {
  int64_t input;
  int64_t output;
  int64_t channels;
  bool norm;
  bool relu;
  // First channel in the input and in the output.
  int64_t from;
  int64_t to;
};

// All of a call that is no input of the derivative.
struct Layout {
  int64_t inputs;
  std::vector<Piece> pieces;
  // Running mean and variance of each piece that is normalised.
  std::vector<Tensor> running;
  double momentum;
  double epsilon;
};

inline int64_t rows_of(const Tensor &x) { return x.size(0) * x.size(2) * x.size(3); }

// As the numbers that autograd keeps, and back.
inline std::vector<int64_t> packed(const std::vector<Piece> &pieces) {
  std::vector<int64_t> n;
  for (const Piece &p : pieces)
    n.insert(n.end(), {p.input, p.output, p.channels, p.norm, p.relu, p.from, p.to});
  return n;
}

inline std::vector<Piece> unpacked(const std::vector<int64_t> &n) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < n.size(); i += 7)
    pieces.push_back({n[i], n[i + 1], n[i + 2], n[i + 3] != 0, n[i + 4] != 0, n[i + 5], n[i + 6]});
  return pieces;
}

// An empty tensor for each output of these inputs.
inline std::vector<Tensor> outputs_of(const std::vector<Piece> &pieces, const Tensor &x) {
  std::vector<int64_t> channels;
  for (const Piece &piece : pieces) {
    channels.resize(std::max<size_t>(channels.size(), piece.output + 1));
    channels[piece.output] += piece.channels;
  }
  std::vector<Tensor> outputs;
  for (int64_t count : channels)
    outputs.push_back(rows::empty_rows(x, count, x.size(2), x.size(3)));
  return outputs;
}

// What is below it becomes it. Nothing is below minus infinity: the ReLU is off.
inline float floor_of(const Piece &piece) {
  return piece.relu ? 0.0f : -std::numeric_limits<float>::infinity();
}

// The inputs of a call, of which `tensors` holds more, with their values where channels-last tensors have
// them.
inline variable_list inputs_of(at::TensorList tensors, const Layout &layout) {
  variable_list xs;
  for (int64_t i = 0; i < layout.inputs; ++i)
    xs.push_back(rows::channels_last(tensors[i]));
  return xs;
}

// Keeps what the backward pass needs: the inputs, then what a way of computing saves of each piece.
inline void remember(AutogradContext *context, variable_list saved, const Layout &layout) {
  context->save_for_backward(std::move(saved));
  context->saved_data["inputs"] = layout.inputs;
  context->saved_data["pieces"] = packed(layout.pieces);
}

// A backward pass as it begins.
struct Backward {
  variable_list saved;
  int64_t inputs;
  std::vector<Piece> pieces;
  // A gradient for each output, undefined for one that nothing used.
  variable_list gradients;
  // Those of the inputs, still without values; those of parameters are to follow.
  variable_list result;

  Backward(AutogradContext *context, variable_list given)
      : saved(context->get_saved_variables()), inputs(context->saved_data["inputs"].toInt()),
        pieces(unpacked(context->saved_data["pieces"].toIntVector())), gradients(std::move(given)) {
    rows::refuse_second_derivative();
    for (int64_t i = 0; i < inputs; ++i)
      result.push_back(at::empty_like(saved[i]));
    for (Tensor &gradient : gradients)
      if (gradient.defined())
        gradient = rows::channels_last(gradient.to(saved[0].scalar_type()));
  }

  // Whether nothing used the output of a piece: its gradients are then 0, those of its weight and bias
  // like `parameter`.
  bool is_unused(const Piece &piece, const Tensor &parameter) {
    if (gradients[piece.output].defined())
      return false;
    result[piece.input].narrow(1, piece.from, piece.channels).zero_();
    if (piece.norm)
      result.insert(result.end(), {at::zeros_like(parameter), at::zeros_like(parameter)});
    return true;
  }
};

} // namespace pieces
