// What a call of the fused passes does: see fused.cpp.

#pragma once

#include <vector>

#include "rows.h"

namespace pieces {

using at::Tensor;

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

} // namespace pieces
