; run: scalify
graph @zeros(%x: f32[2,3], %w: f32[3,3], %b: f32[3]) -> (%y, %z) {
  %0 = const [0,0,0] : f32[3]
  %s = sigmoid %x : f32[2,3]
  %p = mul %s, %0 : f32[2,3]
  %q = mul %p, %p : f32[2,3]
  %y = gemm %q, %w, %b : f32[2,3]
  %t = tanh %p : f32[2,3]
  %z = add %t, %x : f32[2,3]
}
; --- a product of zeros is zeros: nobody follows its exponent, and none moves by an estimate of it
graph @zeros(%x: f32[2,3], %w: f32[3,3], %b: f32[3]) -> (%y, %z) {
  %s = sigmoid %x : f32[2,3]
  %6 = rebalance %s, -1 : f32[2,3] * 2^-1
  %7 = const [0,0,0] : f32[3]
  %p = mul %6, %7 : f32[2,3] * 2^-1
  %q = mul %p, %p : f32[2,3] * 2^-2
  %10 = rebalance %b, -2 : f32[3] * 2^-2
  %11 = gemm %q, %w, %10 : f32[2,3] * 2^-2
  %y = rebalance %11, 0 : f32[2,3]
  %13 = rebalance %p, 0 {saturate = 1} : f32[2,3]
  %t = tanh %13 : f32[2,3]
  %z = add %t, %x : f32[2,3]
}
