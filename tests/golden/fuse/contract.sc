; run: fuse
graph @g(%x: f32[2,n,16], %r: f32[n,2,4]) -> (%y) {
  %w = const @w : f32[4,16]
  %b = const @b : f32[4]
  %t = transpose %w : f32[16,4] from "t"
  %1 = matmul %x, %t, %b : f32[2,n,4] from "MatMul"
  %2 = relu %1 : f32[2,n,4] from "Relu"
  %3 = transpose %r {perm = [1,0,2]} : f32[2,n,4] from "r"
  %4 = tanh %3 : f32[2,n,4] from "tanh"
  %y = add %2, %4 : f32[2,n,4] from "residual"
}
; --- one kernel: views go to its inputs, elementwise nodes to its end
graph @g(%x: f32[2,n,16], %r: f32[n,2,4]) -> (%y) {
  %w = const @w : f32[4,16]
  %b = const @b : f32[4]
  %y = kernel %x, %w, %b, %r {class = contract} : f32[2,n,4] from "t", "MatMul", "Relu", "r", "tanh", "residual"
    graph @contract(%2: f32[2,n,16], %3: f32[4,16], %4: f32[4], %5: f32[n,2,4]) -> (%11 as y0) {
      %6 = transpose %3 : f32[16,4]
      %7 = matmul %2, %6, %4 : f32[2,n,4]
      %8 = relu %7 : f32[2,n,4]
      %9 = transpose %5 {perm = [1,0,2]} : f32[2,n,4]
      %10 = tanh %9 : f32[2,n,4]
      %11 = add %8, %10 : f32[2,n,4]
    }
}
