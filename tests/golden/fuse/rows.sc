; run: fuse
graph @g(%x: f32[b,s,8], %w: f32[16,8], %c: f32[16], %k: f32[8]) -> (%y) {
  %f = reshape %x {shape = [b*s,8]} : f32[b*s,8] from "flat"
  %1 = gemm %f, %w, %c {trans_b = 1} : f32[b*s,16] from "gemm"
  %2 = reshape %1 {shape = [b,s,16]} : f32[b,s,16] from "back"
  %3 = mul %2, %2 : f32[b,s,16] from "act"
  %4 = add %3, %2 : f32[b,s,16] from "act"
  %5 = reshape %4 {shape = [b*s,16]} : f32[b*s,16] from "flat2"
  %g = gemm %5, %w : f32[b*s,8] from "gemm2"
  %6 = mul %g, %k : f32[b*s,8] from "channels"
  %7 = reshape %6 {shape = [b,s,8]} : f32[b,s,8] from "back2"
  %y = add %7, %x : f32[b,s,8] from "residual"
}
; --- the products take rows of two extents, so that nothing stands between them and what follows
graph @g(%x: f32[b,s,8], %w: f32[16,8], %c: f32[16], %k: f32[8]) -> (%y) {
  %6 = kernel %x, %w, %c {class = contract} : f32[b,s,16] from "gemm", "act"
    graph @contract(%2: f32[b,s,8], %3: f32[16,8], %4: f32[16]) -> (%8 as y0) {
      %5 = transpose %3 {perm = [1,0]} : f32[8,16]
      %6 = matmul %2, %5, %4 : f32[b,s,16]
      %7 = mul %6, %6 : f32[b,s,16]
      %8 = add %7, %6 : f32[b,s,16]
    }
  %y = kernel %6, %w, %k, %x {class = contract} : f32[b,s,8] from "gemm2", "channels", "residual"
    graph @contract(%2: f32[b,s,16], %3: f32[16,8], %4: f32[8], %5: f32[b,s,8]) -> (%8 as y0) {
      %6 = matmul %2, %3 : f32[b,s,8]
      %7 = mul %6, %4 : f32[b,s,8]
      %8 = add %7, %5 : f32[b,s,8]
    }
}
