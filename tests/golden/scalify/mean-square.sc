; run: scalify
graph @rms(%x: f32[4,256], %g: f32[256]) -> (%y) {
  %q = mul %x, %x : f32[4,256]
  %m = reduce_mean %q {axes = [1]} : f32[4,1]
  %eps = const 1e-05 : f32[]
  %e = add %m, %eps : f32[4,1]
  %r = sqrt %e : f32[4,1]
  %d = div %x, %r : f32[4,256]
  %y = mul %d, %g : f32[4,256]
}
; --- squares have one sign: their mean does not shrink
graph @rms [scaled] (%x: f32[4,256], %g: f32[256]) -> (%y) {
  %q = mul %x, %x : f32[4,256]
  %m = reduce_mean %q {axes = [1]} : f32[4,1]
  %eps = const 1e-05 : f32[]
  %e = add %m, %eps : f32[4,1]
  %r = sqrt %e : f32[4,1]
  %d = div %x, %r : f32[4,256]
  %y = mul %d, %g : f32[4,256]
}
