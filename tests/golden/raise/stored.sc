; run: raise
; idempotent
; rtol 1e-5
graph @stored(%q: f8e4m3fn[n,4], %x: f32[n,4]) -> (%y, %z, %v) {
  %codes = const [1,-2,3,0.5,0.25,8] as f8e4m3fn[2,3] : f8e4m3fn[2,3]
  %w = const [0.5,-2,1] : f32[3]
  %1 = transpose %q {perm = [1,0]} : f8e4m3fn[4,n]
  %2 = cast %1 : f32[4,n] from "activation"
  %s = const 0.25 : f32[]
  %a = mul %2, %s : f32[4,n] from "activation"
  %at = transpose %a {perm = [1,0]} : f32[n,4] from "turned"
  %r = reshape %at : f32[2*n,2] from "split"
  %3 = cast %codes : f32[2,3] from "weight"
  %b = mul %3, %w : f32[2,3] from "weight"
  %y = matmul %r, %b : f32[2*n,3] from "both"
  %xr = reshape %x : f32[2*n,2]
  %z = matmul %xr, %3 : f32[2*n,3] from "weight alone"
  %bias = const [1,2,3] : f32[3]
  %v = gemm %r, %b, %bias : f32[2*n,3] from "with bias"
}
; --- products read what is stored; scales and biases stand behind
graph @stored(%q: f8e4m3fn[n,4], %x: f32[n,4]) -> (%y, %z, %v) {
  %4 = reshape %q : f8e4m3fn[2*n,2] from "both", "activation"
  %codes = const [1,-2,3,0.5,0.25,8] : f8e4m3fn[2,3]
  %6 = matmul %4, %codes : f32[2*n,3] from "both", "activation", "weight"
  %s = const 0.25 : f32[]
  %8 = mul %6, %s : f32[2*n,3] from "both", "activation", "weight"
  %w = const [0.5,-2,1] : f32[3]
  %y = mul %8, %w : f32[2*n,3] from "both", "activation", "weight"
  %xr = reshape %x : f32[2*n,2]
  %z = matmul %xr, %codes : f32[2*n,3] from "weight alone", "weight"
  %13 = gemm %4, %codes : f32[2*n,3] from "with bias", "activation", "weight"
  %14 = mul %13, %s : f32[2*n,3] from "with bias", "activation", "weight"
  %15 = mul %14, %w : f32[2*n,3] from "with bias", "activation", "weight"
  %bias = const [1,2,3] : f32[3]
  %v = add %15, %bias : f32[2*n,3] from "with bias", "activation", "weight"
}
