; run: fuse
graph @g(%x: f32[4,4]) -> (%y) {
  %w = const @w : f32[4,4]
  %1 = relu %x : f32[4,4] from "relu"
  %2 = matmul %1, %w : f32[4,4] from "m1"
  %3 = matmul %1, %2 : f32[4,4] from "m2"
  %4 = add %2, %3 : f32[4,4] from "add"
  %y = exp %4 : f32[4,4] from "exp"
}
; --- nothing is computed on the way into a product, and what two kernels read is stored
graph @g(%x: f32[4,4]) -> (%y) {
  %3 = kernel %x {class = map} : f32[4,4] from "relu"
    graph @map(%2: f32[4,4]) -> (%3 as y0) {
      %3 = relu %2 : f32[4,4]
    }
  %w = const @w : f32[4,4]
  %5 = kernel %3, %w {class = contract} : f32[4,4] from "m1"
    graph @contract(%2: f32[4,4], %3: f32[4,4]) -> (%4 as y0) {
      %4 = matmul %2, %3 : f32[4,4]
    }
  %y = kernel %3, %5 {class = contract} : f32[4,4] from "m2", "add", "exp"
    graph @contract(%2: f32[4,4], %3: f32[4,4]) -> (%6 as y0) {
      %4 = matmul %2, %3 : f32[4,4]
      %5 = add %3, %4 : f32[4,4]
      %6 = exp %5 : f32[4,4]
    }
}
